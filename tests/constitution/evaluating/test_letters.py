"""Which letter a model chooses."""

from __future__ import annotations

import math

import pytest

from constitution.evaluating.letters import letter_of, letter_shares
from guard.models.base import Reply, TokenLogprob


def reply(*tokens: tuple[str, dict[str, float]]) -> Reply:
    read = tuple(
        TokenLogprob(token, math.log(top[token]), {k: math.log(p) for k, p in top.items()}) for token, top in tokens
    )
    return Reply("".join(token for token, _ in tokens), logprobs=read)


def test_spellings_of_a_letter_are_added_up_and_the_shares_are_of_1():
    shares = letter_shares(reply(("B", {"B": 0.3, " B": 0.1, "(A": 0.2, "C": 0.2, "Hm": 0.2})), "ABC")
    assert shares == pytest.approx({"A": 0.25, "B": 0.5, "C": 0.25})


def test_a_letter_behind_a_bracket_or_a_bare_lead_is_found():
    letter = ("C", {"A": 0.1, "C": 0.9})
    assert letter_shares(reply(("(", {"(": 0.9}), letter), "ABC")["C"] == pytest.approx(0.9)
    assert letter_shares(reply(("Answer", {"Answer": 0.9}), (":", {":": 1.0}), letter), "ABC")["C"] == pytest.approx(
        0.9
    )


def test_a_letter_that_is_not_asked_for_or_stands_in_a_sentence_is_none():
    assert letter_shares(reply(("C", {"C": 0.9, "D": 0.05})), "AB") is None
    assert letter_shares(reply(("Both", {"Both": 0.99}), (" A", {" A": 0.9, " B": 0.1})), "AB") is None
    assert letter_shares(Reply("A"), "AB") is None


@pytest.mark.parametrize(
    ("text", "letter"),
    [("C", "C"), (" (B)", "B"), ("**B**", "B"), ("The correct answer is C.", "C"), ("答案是A", "A"), ("D", None),
     ("Cats", None), ("Neither A nor B", None), ("a", None), ("", None)],
)  # fmt: skip
def test_a_letter_is_read_from_words_that_say_nothing_else(text, letter):
    assert letter_of(text, "ABC") == letter
