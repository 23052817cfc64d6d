from __future__ import annotations

import pytest

from guard.adapters import adapters
from guard.exchange import Message
from guard.judging.asker import Unreadable

SHIELD = adapters()["shieldgemma"]


def test_the_rule_is_the_guideline_and_the_last_exchange_the_conversation(make_rule, piece):
    rule = make_rule(allowed=["Museum labels."])
    earlier = [Message("user", "one"), Message("assistant", "two")]
    ask = SHIELD.question(piece("Sure.", prompt="three", earlier=earlier), [rule])
    assert ask.messages == (Message("user", "three"), Message("assistant", "Sure."))
    guideline = ask.template["guideline"]
    assert str(rule.rule) in guideline
    assert "Museum labels" in guideline
    assert "chatbot shall not" in guideline
    assert SHIELD.question(piece("hi", earlier=earlier), [rule]).messages == (Message("user", "hi"),)
    assert ask.sampling.max_tokens == 1
    assert ask.logprobs == 20


def test_the_score_is_how_likely_yes_was(make_rule, piece, reply):
    rule = make_rule()
    one_token = reply("No", ("No", {"No": 0.6, "Yes": 0.2}), finish="length")
    assert SHIELD.read(one_token, piece(), [rule]).scores == {rule.id: pytest.approx(0.25)}
    assert SHIELD.read(reply("Yes", finish="length"), piece(), [rule]).scores == {rule.id: 1.0}
    assert SHIELD.read(reply("No."), piece(), [rule]).scores == {rule.id: 0.0}


@pytest.mark.parametrize("text", ["", "Maybe", "I cannot", "The answer is no", "Nothing", "Noyes"])
def test_anything_but_yes_or_no_is_unreadable(make_rule, piece, reply, text):
    with pytest.raises(Unreadable):
        SHIELD.read(reply(text, finish="length"), piece(), [make_rule()])
    with pytest.raises(Unreadable):
        SHIELD.read(reply(text, ("The", {"The": 0.9, "No": 0.05}), finish="length"), piece(), [make_rule()])
    with pytest.raises(Unreadable):
        SHIELD.read(reply("No", finish="filter"), piece(), [make_rule()])
