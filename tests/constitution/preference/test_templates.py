"""The words of a comparison, and the questions of rules."""

from __future__ import annotations

import pytest

from constitution.preference.principles import drawn, principle_of, without_choice
from constitution.preference.templates import PROMPTS, WordingSet
from constitution.spoken import TemplateError
from guard.exchange import Message
from rules import load


def test_every_shipped_wording_shows_both_answers_and_the_question():
    for language in ("en", "zh"):
        wording = WordingSet.read().of(language)
        assert wording.language == language
        for reasons in (False, True):
            text = wording.messages([Message("user", "Hi?")], ("one", "two"), "Which?", reasons=reasons)[-1].content
            assert text.index("Hi?") < text.index("one") < text.index("two") < text.index("Which?")


def test_every_shipped_wording_shows_one_answer_and_the_rule():
    for language in ("en", "zh"):
        wording = WordingSet.read().of(language)
        for reasons in (False, True):
            text = wording.alone([Message("user", "Hi?")], "one </answer>", "No rudeness.", reasons=reasons)[-1].content
            assert text.index("Hi?") < text.index("one") < text.index("No rudeness.")
            assert text.count("</answer>") == 1, "an answer cannot close its own tag"


def test_a_rule_is_asked_about_by_its_choice_or_by_a_question_made_of_its_text():
    wording = WordingSet.read().of("en")
    own = next(iter(load("assistant").constitution))
    found = principle_of(own, wording)
    assert (found.question, found.made) == (own.choice.say("en"), False)
    bare = next(rule for rule in load("base").constitution if rule.choice is None)
    found = principle_of(bare, wording)
    assert found.made
    assert bare.rule.say("en") in found.question
    assert bare.id in without_choice(load("base").constitution)


def test_no_rule_is_drawn_twice_for_a_pair():
    constitution = load("assistant").constitution
    found = drawn(constitution, 5, 0, "a pair")
    assert len({rule.id for rule in found}) == 5
    assert drawn(constitution, 2, 0, "a pair") == found[:2], "more principles ask only about what is new"
    assert len(drawn(constitution, 500, 0, "a pair")) == len(constitution.rules)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (("ask_letter:", "ask_leter:"), "ask_le"),
        (("{{ question }}", "{{ question "), "does not read"),
        (("language: en", "language: [en"), "not YAML"),
    ],
)
def test_a_wrong_file_is_told_by_its_place(change, what, tmp_path):
    text = (PROMPTS / "en.yaml").read_text(encoding="utf-8")
    assert change[0] in text
    (tmp_path / "en.yaml").write_text(text.replace(*change), encoding="utf-8")
    with pytest.raises(TemplateError, match=what):
        WordingSet.read(tmp_path)


def test_a_name_that_is_not_there_is_told_when_it_is_used(tmp_path):
    text = (PROMPTS / "en.yaml").read_text(encoding="utf-8").replace("{{ question }}", "{{ principle }}")
    (tmp_path / "en.yaml").write_text(text, encoding="utf-8")
    wording = WordingSet.read(tmp_path).of("en")
    with pytest.raises(TemplateError, match="principle"):
        wording.messages([Message("user", "Hi?")], ("one", "two"), "Which?", reasons=False)


def test_an_empty_folder_is_told(tmp_path):
    with pytest.raises(TemplateError, match="no templates"):
        WordingSet.read(tmp_path)
