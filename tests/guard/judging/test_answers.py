from __future__ import annotations

import json
import math

import pytest

from guard.judging.answers import first_word, read_judgement, share, yes_share
from guard.judging.asker import Unreadable
from guard.models.base import Reply, TokenLogprob

GOOD = {"case": "c0ffee00", "reason": "It gives the steps.", "quote": "put it in", "verdict": "breaks"}


def logs(word, **top):
    return TokenLogprob(word, math.log(top.get(word, 0.01)), {token: math.log(p) for token, p in top.items()})


@pytest.mark.parametrize("form", ["{}", "```json\n{}\n```", "```\n{}\n```", "\n {}  \n"])
def test_a_judgement_is_read_bare_or_in_a_code_block(form):
    judgement = read_judgement(Reply(form.replace("{}", json.dumps(GOOD))), "c0ffee00")
    assert (judgement.verdict, judgement.quote) == ("breaks", "put it in")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("No.", "no JSON object"),
        ("I cannot help with that.", "no JSON object"),
        ("[]", "no JSON object"),
        ("null", "no JSON object"),
        (json.dumps(GOOD)[:-5], "no JSON object"),
        (json.dumps(GOOD) + json.dumps(GOOD), "no JSON object"),
        ("The text says " + json.dumps(GOOD), "no JSON object"),
        (json.dumps(GOOD | {"verdict": "no"}), "`verdict`"),
        (json.dumps(GOOD | {"verdict": True}), "`verdict`"),
        (json.dumps({"verdict": "keeps"}), "`case`"),
        (json.dumps(GOOD | {"case": "00000000"}), "case"),
        (json.dumps(GOOD | {"sure": 1}), "`sure`"),
        ("[" * 100_000, "no JSON object"),
    ],
)
def test_anything_else_is_unreadable(text, why):
    with pytest.raises(Unreadable, match=why):
        read_judgement(Reply(text), "c0ffee00")


@pytest.mark.parametrize(("finish", "why"), [("length", "cut off"), ("filter", "withheld")])
def test_an_answer_that_did_not_come_to_its_end_is_unreadable(finish, why):
    with pytest.raises(Unreadable, match=why):
        read_judgement(Reply(json.dumps(GOOD | {"verdict": "keeps"}), finish=finish), "c0ffee00")


def test_spellings_of_the_same_answer_are_added_up():
    token = TokenLogprob(" No", math.log(0.3), {"No": math.log(0.2), " No": math.log(0.3), "Yes": math.log(0.25)})
    assert share(token, lambda word: word == "yes", lambda word: word == "no") == pytest.approx(0.25 / 0.75)


def test_white_space_is_not_the_first_word():
    assert first_word([TokenLogprob("\n\n", 0.0), TokenLogprob("yes", 0.0)]).token == "yes"
    assert first_word([TokenLogprob(" ", 0.0)]) is None
    assert first_word(None) is None


def test_the_score_is_how_likely_yes_was_had_it_to_be_yes_or_no():
    reply = Reply("Yes", logprobs=(logs("Yes", Yes=0.6, No=0.2, Maybe=0.1),))
    assert yes_share(reply, ["yes"], ["no"]) == pytest.approx(0.75)
    assert yes_share(Reply("是", logprobs=(logs("是", 是=0.9, 否=0.1),)), ["是"], ["否"]) == pytest.approx(0.9)


@pytest.mark.parametrize(
    "logprobs",
    [None, (), (TokenLogprob("\n", 0.0),), (logs("Sorry", Sorry=0.9, Yes=0.02, No=0.03),), (logs("Maybe", Maybe=0.9),)],
)
def test_an_answer_that_is_neither_yes_nor_no_is_unreadable(logprobs):
    with pytest.raises(Unreadable):
        yes_share(Reply("x", logprobs=logprobs), ["yes"], ["no"])
