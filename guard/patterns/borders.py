"""Word borders of every script, decided on the characters beside a hit.

Neither engine can do it: RE2's `\\b` knows ASCII alone, hyperscan has none where text is Unicode, and no `\\b` knows
that Thai or Chinese words stand without spaces.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_NO_BORDERS = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3040-\u31ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
    "\uff66-\uff9f\U00020000-\U0003ffff]"
)
"""Scripts written without spaces or that glue endings to words: Thai to Tibetan, Burmese, Khmer, kana, Han, Hangul."""

_BLIND_BORDER = re.compile(
    r"(?<!\\)(?:\\\\)*\\b(?:\((?:\?:)?|\[)*(?P<after>[^\x00-\x7f])|(?P<before>[^\x00-\x7f])[)\]]*\\b"
)
"""A `\\b` next to a letter that RE2, whose borders are ASCII, takes for no letter."""


@lru_cache(maxsize=4096)
def is_word(char: str) -> bool:
    """Whether the character belongs to a word in a script that has word borders. `_` does not: it marks emphasis."""
    if _NO_BORDERS.match(char):
        return False
    return char.isalnum() or (unicodedata.category(char)[0] == "M" and not "\ufe00" <= char <= "\ufe0f")


def sides(literal: str) -> tuple[bool, bool]:
    """Whether a hit of the literal must begin, and must end, at a word border."""
    return (is_word(literal[0]), is_word(literal[-1])) if literal else (False, False)


def has_blind_border(regex: str) -> bool:
    """Whether the expression has a `\\b` that can never hold."""
    return any((hit["after"] or hit["before"]).isalnum() for hit in _BLIND_BORDER.finditer(regex))
