"""What the guard says for itself."""

from __future__ import annotations

import json

import pytest

from guard.guarding.replying import Replies
from guard.window import Channel
from rules import load
from rules.schema import Constitution

TEXT, TOOL = Channel(), Channel("tool")


@pytest.fixture(scope="module")
def replies(kit):
    own = kit.rule("own", "x", reply={"en": "Own words.", "zh": "自己的话。"})
    one = kit.rule("one", "x", reply="One for all.")
    made = kit.rule("made", "secret pattern")
    return Replies(Constitution.model_validate({"name": "small", "title": "Small", "rules": (own, one, made)}))


@pytest.mark.parametrize(
    ("rule", "language", "said"),
    [
        ("own", "en", "Own words."),
        ("own", "zh", "自己的话。"),
        ("own", "zh-TW", "自己的话。"),
        ("own", "fr", "Own words."),
        ("one", "zh", "One for all."),
    ],
)
def test_a_rules_reply_is_said_in_the_nearest_language(replies, rule, language, said):
    assert replies.to_rule(rule, language) == said


def test_a_made_reply_names_title_and_why_and_no_pattern(replies):
    for language, title in (("en", "The made rule"), ("zh", "规则 made"), ("fr", "The made rule")):
        said = replies.to_rule("made", language)
        assert title in said
        assert "secret" not in said


@pytest.mark.parametrize("reason", ["degraded", "unscannable", "answer"])
def test_a_reason_is_told_in_both_languages_and_accuses_nobody(replies, reason):
    english, chinese = replies.to_reason(reason, "de"), replies.to_reason(reason, "zh-CN")
    assert english.isascii()
    assert not chinese.isascii()
    assert "rule" not in english
    assert "规则" not in chinese


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("rule", ["made", None])
def test_a_note_for_a_tools_arguments_is_a_json_object(replies, rule, language):
    assert list(json.loads(replies.note(rule, "assistant", TOOL, language))) == ["withheld"]
    assert replies.note(rule, "user", TEXT, language).startswith("[")


def test_every_reply_is_known_again_at_the_end_of_a_text(replies):
    for language in ("en", "zh", "fr"):
        for said in (
            *(replies.to_rule(rule, language) for rule in ("own", "one", "made")),
            *(replies.to_reason(reason, language) for reason in ("degraded", "unscannable", "answer")),
        ):
            assert replies.without(said) == ""
            assert replies.without(f"before it\n\n{said}\n") == "before it"
            assert replies.without(f"{said} and more") is None


def test_every_rule_of_the_base_pack_has_a_reply_that_is_known_again():
    constitution = load("base").constitution
    replies = Replies(constitution)
    for rule in constitution:
        for language in ("en", "zh", "de"):
            assert replies.without(replies.to_rule(rule.id, language)) == ""
