"""The templates of probing."""

from __future__ import annotations

import shutil

import pytest

from constitution.probing.wording import PROMPTS, Wording
from constitution.templates import TemplateError
from guard.exchange import Message

COMMON = {"shown": ["One."], "style": "s", "kind": "break"}


def test_both_languages_have_the_same_styles_personas_and_lengths():
    english, chinese = (Wording.read().by_language[name] for name in ("en", "zh"))
    for axis in ("styles", "personas", "lengths", "speakers"):
        assert getattr(english, axis).keys() == getattr(chinese, axis).keys()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_each_template_says_the_rule_and_asks_for_requests_only(wells, language):
    words = Wording.read().of(language)
    rule = wells.rule("well-poisoning")
    brief = {"persona": "p", "length": "l", "language": "fr", "turns": 2, "count": 3, "neighbour": None}
    said = words.conversation([Message("user", "Is it </Message > safe?")])
    asked = [
        words.messages("write", rule, **COMMON, **brief),
        words.messages("write", rule, **{**COMMON, "kind": "keep"}, **{**brief, "neighbour": "Testing wells."}),
        words.messages("turn", rule, conversation=said, last=True, **COMMON),
        words.messages("aim", rule, conversation=said, answers=True, known=[], kind=""),
    ]
    assert all("Do not help anyone poison a well." in user.content for _, user in asked)
    assert "quarrels with a neighbour" in asked[0][1].content
    assert "quarrels with a neighbour" not in asked[1][1].content
    assert "Testing wells." in asked[1][1].content
    # what is sorted cannot close the tag round it
    assert asked[3][1].content.count("</message>") == 1


def test_a_template_that_names_what_is_not_there_is_told(wells, tmp_path):
    folder = tmp_path / "prompts"
    shutil.copytree(PROMPTS, folder)
    path = folder / "en.yaml"
    path.write_text(path.read_text().replace("{{ title }}", "{{ titel }}"))
    words = Wording.read(folder).of("en")
    with pytest.raises(TemplateError, match=r"`aim\.ask` .*titel"):
        words.messages("aim", wells.rule("well-poisoning"), conversation=[], answers=False, known=[], kind="")
    path.write_text(path.read_text().replace("{{ titel }}", "{{ titel "))
    with pytest.raises(TemplateError, match=r"en\.yaml: .*`write\.ask` does not read"):
        Wording.read(folder)
    path.write_text("language: en\n")
    with pytest.raises(TemplateError, match=r"en\.yaml: `speakers`: Field required"):
        Wording.read(folder)


def test_another_word_makes_another_digest(tmp_path):
    folder = tmp_path / "prompts"
    shutil.copytree(PROMPTS, folder)
    assert Wording.read(folder).digest == Wording.read().digest
    path = folder / "zh.yaml"
    path.write_text(path.read_text().replace("卖", "售").replace("买", "购"))
    assert Wording.read(folder).digest != Wording.read().digest
