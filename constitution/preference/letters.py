"""The letters A and B as options: which one a reply chooses."""

from __future__ import annotations

import re

from constitution.preference.options import TOKENS, Options
from guard.models.base import Reply

LETTER_TOKENS = TOKENS
"""Tokens asked for."""

LETTERS = Options(
    ("a",),
    ("b",),
    re.compile(
        r"[\W_]*(?:(?:so|the|my|final|better|best|answer|option|choice|is|答案|选择|选|是|回答)[\W_]*)*", re.IGNORECASE
    ),
    # capitals alone: `a` is an article
    re.compile(r"(?P<lead>.*?)(?<![A-Za-z])(?:(?P<one>A)|(?P<two>B))(?![A-Za-z])", re.DOTALL),
)


def letter_share(reply: Reply) -> float | None:
    """How likely the reply was A, had it to be A or B; None where it was about to say something else."""
    return LETTERS.share(reply)


def letter_of(text: str) -> str | None:
    """The letter that a text says, or None."""
    first = LETTERS.first(text)
    return None if first is None else "A" if first else "B"
