"""Which option a reply chooses."""

from __future__ import annotations

import math

import pytest

from constitution.preference.labels import joined
from constitution.preference.letters import letter_of, letter_share
from guard.models.base import Reply, TokenLogprob


def reply(*tokens: tuple[str, dict[str, float]]) -> Reply:
    read = tuple(
        TokenLogprob(token, math.log(top[token]), {k: math.log(p) for k, p in top.items()}) for token, top in tokens
    )
    return Reply("".join(token for token, _ in tokens), logprobs=read)


def test_spellings_of_a_letter_are_added_up_and_normalised():
    assert letter_share(reply(("A", {"A": 0.3, " A": 0.1, "(A": 0.2, "B": 0.2, "Hm": 0.2}))) == pytest.approx(0.75)


def test_the_letter_is_found_past_a_bracket_and_a_bare_lead():
    letter = ("B", {"A": 0.1, "B": 0.9})
    assert letter_share(reply(("(", {"(": 0.9}), letter)) == pytest.approx(0.1)
    assert letter_share(
        reply(("Answer", {"Answer": 0.9}), (":", {":": 1.0}), (" B", {" A": 0.1, " B": 0.9}))
    ) == pytest.approx(0.1)


def test_a_letter_in_a_sentence_is_none():
    assert letter_share(reply(("Both", {"Both": 0.99}), (" A", {" A": 0.9, " B": 0.1}))) is None
    assert letter_share(reply(("Well", {"Well": 0.9, "A": 0.01}))) is None
    assert letter_share(Reply("A")) is None


@pytest.mark.parametrize(
    ("text", "letter"),
    [("A", "A"), (" (B)", "B"), ("**B**", "B"), ("Answer: A", "A"), ("The better answer is B.", "B"), ("答案是A", "A"),
     ("Apples", None), ("Neither A nor B", None), ("", None)],
)  # fmt: skip
def test_a_letter_is_read_from_words_that_say_nothing_else(text, letter):
    assert letter_of(text) == letter


def test_log_odds_of_certain_probabilities_stay_finite():
    assert joined(1.0, 0.0, "log-odds") == pytest.approx(0.5)
    assert joined(1.0, 1.0, "log-odds") > 0.999
    assert joined(0.9, 0.4, "mean") == pytest.approx(0.65)
