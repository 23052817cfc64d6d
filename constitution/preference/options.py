"""Two short answers, and reading which one a reply chooses: from log-probabilities, or from what it says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from guard.judging.answers import share
from guard.models.base import Reply

TOKENS = 6
"""Tokens asked for: the option may stand behind `(`, or behind `Answer:`."""

_MARKS = "()[]{}<>*_.,:;\"'`#- "


@dataclass(frozen=True, slots=True)
class Options:
    """Two options, and how they are spelt."""

    one: tuple[str, ...]
    """Spellings of the first, in lower case."""
    two: tuple[str, ...]
    lead: re.Pattern[str]
    """What may stand before an option without saying anything."""
    said: re.Pattern[str]
    """Finds the first option in a text: the group `one` or `two`, and `lead` for what stands before."""

    def share(self, reply: Reply) -> float | None:
        """How likely the reply was the first, had it to be one of the two; None where it was to be neither.

        Looks at the first token that is an option, past brackets and a bare `Answer:`.
        """
        before = ""
        for token in reply.logprobs or ():
            if self.lead.fullmatch(before) is None:
                return None
            found = share(token, lambda word: _bare(word) in self.one, lambda word: _bare(word) in self.two)
            if found is not None and (_bare(token.token) in (*self.one, *self.two) or not before.strip()):
                return found
            before += token.token
        return None

    def first(self, text: str) -> bool | None:
        """Whether a text says the first option; None where it says neither."""
        found = self.said.match(text)
        if found is None or self.lead.fullmatch(found["lead"]) is None:
            return None
        return found["one"] is not None


def _bare(word: str) -> str:
    return word.strip(_MARKS).lower()


def yes_or_no(yes: Sequence[str], no: Sequence[str]) -> Options:
    """Yes and no, in these spellings."""
    one, two = ("|".join(sorted(map(re.escape, words), key=len, reverse=True)) for words in (yes, no))
    return Options(
        tuple(yes),
        tuple(no),
        re.compile(r"[\W_]*(?:(?:answer|答案|回答)[\W_]*)?", re.IGNORECASE),
        re.compile(
            rf"(?P<lead>.*?)(?<![A-Za-z])(?:(?P<two>{two})|(?P<one>{one}))(?![A-Za-z])", re.DOTALL | re.IGNORECASE
        ),
    )
