"""Reading which of a few lettered options a model chooses: from log-probabilities, or from what it says."""

from __future__ import annotations

import math
import re

from constitution.preference.settings import Join
from guard.judging.answers import LEAST_MASS
from guard.models.base import Reply, TokenLogprob

LETTER_TOKENS = 6
"""Tokens asked for: the letter may stand behind `(`, or behind `Answer:`."""

_MARKS = "()[]{}<>*_.,:;\"'`#- "
_LEAD = re.compile(
    r"[\W_]*(?:(?:so|the|my|final|better|best|answer|option|choice|is|答案|选择|选|是|回答)[\W_]*)*\Z", re.IGNORECASE
)
"""What may stand before the letter without saying anything."""
_LETTER = r"\A(?P<lead>.*?)(?<![A-Za-z])(?P<letter>[{letters}])(?![A-Za-z])"
_LEAST = 1e-6


def letter_share(reply: Reply) -> float | None:
    """How likely the reply was A, had it to be A or B; None where it was about to say something else."""
    found = letter_shares(reply, "AB")
    return None if found is None else found["A"]


def letter_shares(reply: Reply, letters: str) -> dict[str, float] | None:
    """How likely each letter was, had it to be one of them; None where the reply was about to say something else.

    Looks at the first token that is one of the letters, past brackets and a bare `Answer:`.
    """
    said = ""
    for token in reply.logprobs or ():
        if _LEAD.match(said) is None:
            return None
        found = _shares(token, letters)
        if found is not None and (token.token.strip(_MARKS).upper() in list(letters) or not said.strip()):
            return found
        said += token.token
    return None


def letter_of(text: str, letters: str = "AB") -> str | None:
    """The letter that a text says, or None."""
    found = re.match(_LETTER.format(letters=letters), text, re.DOTALL)
    return found["letter"] if found is not None and _LEAD.match(found["lead"]) else None


def _shares(token: TokenLogprob, letters: str) -> dict[str, float] | None:
    top = dict(token.top)
    top.setdefault(token.token, token.logprob)
    weights = dict.fromkeys(letters, 0.0)
    for spelling, logprob in top.items():
        letter = spelling.strip(_MARKS + "\n\t").upper()
        if letter in weights:
            weights[letter] += math.exp(min(0.0, logprob))
    whole = sum(weights.values())
    return {letter: weight / whole for letter, weight in weights.items()} if whole >= LEAST_MASS else None


def joined(first: float, second: float, join: Join) -> float:
    """One probability of two that were seen in opposite orders.

    Args:
        first: that an answer is the better, when it is shown first.
        second: that the same answer is the better, when it is shown second.
        join: `mean` of the two; `log-odds`, which cancels a bias that adds the same to the log-odds of every pair.
    """
    if join == "mean":
        return (first + second) / 2
    odds = (_log_odds(first) + _log_odds(second)) / 2
    return 1 / (1 + math.exp(-odds))


def _log_odds(probability: float) -> float:
    bound = min(max(probability, _LEAST), 1 - _LEAST)
    return math.log(bound / (1 - bound))
