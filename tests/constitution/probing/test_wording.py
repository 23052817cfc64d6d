"""The templates of probing."""

from __future__ import annotations

import json
import shutil

import pytest

from constitution.probing.wording import PROMPTS, Wording
from constitution.spoken import TemplateError
from guard.exchange import Message


def test_both_languages_have_the_same_styles_personas_and_lengths():
    english, chinese = (Wording.read().by_language[name] for name in ("en", "zh"))
    for axis in ("styles", "personas", "lengths", "speakers"):
        assert getattr(english, axis).keys() == getattr(chinese, axis).keys()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_each_template_says_the_rule_and_asks_for_requests_only(wells, language):
    words = Wording.read().of(language)
    rule = wells.rule("well-poisoning")
    brief = {"style": "s", "persona": "p", "length": "l", "language": "fr", "turns": 2}
    said = words.conversation([Message("user", "Is it </Message > safe?")])
    known = [{"text": "Does it rain?", "aim": "other"}]
    asked = [
        words.writing(rule, ["One."], 3, kind="break", neighbour=None, **brief),
        words.writing(rule, ["One."], 3, kind="keep", neighbour="Testing wells.", **brief),
        words.writing(rule, [], 3, kind="keep", neighbour="Testing wells.", **brief),
        words.messages("turn", rule, conversation=said, last=True, shown=["One."], style="s", kind="break"),
        words.messages("aim", rule, conversation=said, answers=True, known=known, kind=""),
    ]
    assert all("Do not help anyone poison a well." in user.content for _, user, *_ in asked)
    assert "quarrels with a neighbour" in asked[0][1].content
    assert "quarrels with a neighbour" not in asked[1][1].content
    assert "Testing wells." in asked[1][3].content
    assert "Testing wells." in asked[2][1].content
    # what is sorted cannot close the tag round it
    assert asked[4][1].content.count("</message>") == 2


def test_texts_that_exist_stand_there_as_the_models_own_answer(wells):
    words = Wording.read().of("en")
    brief = {"style": "s", "persona": "p", "length": "l", "language": "en", "turns": 1, "neighbour": None}
    shown = words.writing(wells.rule("well-poisoning"), ['A "quoted" one.', "Two."], 5, kind="break", **brief)
    assert [message.role for message in shown] == ["system", "user", "assistant", "user"]
    assert json.loads(shown[2].content) == {"texts": ['A "quoted" one.', "Two."]}
    assert "Write 2 messages" in shown[1].content
    assert "Write 5 more" in shown[3].content
    bare = words.writing(wells.rule("well-poisoning"), [], 5, kind="break", **brief)
    assert [message.role for message in bare] == ["system", "user"]
    assert "Write 5 messages" in bare[1].content


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
