"""Which of a few lettered options the model under test chooses: by log-probabilities, else by what it says."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from constitution.evaluating.bench import Bench
from guard.exchange import Message
from guard.judging.answers import LEAST_MASS
from guard.models.base import Reply, TokenLogprob

_MARKS = "()[]{}<>*_.,:;\"'`#- \n\t"
_LEAD = re.compile(
    r"[\W_]*(?:(?:so|the|my|final|better|best|correct|right|answer|option|choice|is|答案|选择|选|是|回答)[\W_]*)*",
    re.IGNORECASE,
)
"""What may stand before a letter without saying anything."""


async def choice(bench: Bench, messages: Sequence[Message], letters: str, *, about: str) -> dict[str, float] | None:
    """How likely the model is to choose each letter, of 1 in all; None where it says something else.

    Without log-probabilities the letter that it says has all. To be called within `bench.each`.
    """
    reply = await bench.letter(messages, about=about)
    shares = letter_shares(reply, letters)
    if shares is not None:
        return shares
    said = letter_of(reply.text, letters)
    return None if said is None else {letter: float(letter == said) for letter in letters}


def letter_shares(reply: Reply, letters: str) -> dict[str, float] | None:
    """How likely each letter was, had it to be one of them; None where the reply was about to say something else.

    Looks at the first token that is one of the letters, past brackets and a bare `Answer:`.
    """
    before = ""
    for token in reply.logprobs or ():
        if _LEAD.fullmatch(before) is None:
            return None
        found = _shares(token, letters)
        if found is not None and (_bare(token.token) in tuple(letters) or not before.strip()):
            return found
        before += token.token
    return None


def letter_of(text: str, letters: str) -> str | None:
    """The letter that a text says, or None. Capitals alone: `a` is an article."""
    found = re.match(rf"(?P<lead>.*?)(?<![A-Za-z])(?P<letter>[{letters}])(?![A-Za-z])", text, re.DOTALL)
    return found["letter"] if found is not None and _LEAD.fullmatch(found["lead"]) else None


def _shares(token: TokenLogprob, letters: str) -> dict[str, float] | None:
    top = dict(token.top)
    top.setdefault(token.token, token.logprob)
    weights = dict.fromkeys(letters, 0.0)
    for spelling, logprob in top.items():
        letter = _bare(spelling)
        if letter in weights:
            weights[letter] += math.exp(min(0.0, logprob))
    whole = sum(weights.values())
    return {letter: weight / whole for letter, weight in weights.items()} if whole >= LEAST_MASS else None


def _bare(word: str) -> str:
    return word.strip(_MARKS).upper()
