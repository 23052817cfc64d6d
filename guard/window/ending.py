"""How much of a text's end may be a disguise that is not finished.

The patterns know which endings may still become a hit as they stand. A disguise (`b.o.m.b`, `p i p e`, a code) shows
what it says only when it is longer, so words that are not plain wait for plain ones to follow, and a word that has not
ended waits for its end.
"""

from __future__ import annotations

import re

FOLLOWING = 2
"""Plain words that have to follow before what is not plain is let go: patterns seldom have more words than three."""

# Letters of scripts that stand in no disguise of Latin words, with the marks that go with them; scripts without spaces
# among them would otherwise be one word that never ends.
_OTHER = r"\u0370-\u1fff\u3001-\u3002\u3041-\u30ff\u3400-\u9fff\uac00-\ud7a3\uff01\uff0c\uff1a\uff1b\uff1f"
_PIECE = re.compile(rf"[{_OTHER}]+|[^\s{_OTHER}]+")
_PLAIN = re.compile(r"[\"'(\[*“‘]{0,2}[A-Za-z]{2,20}(?:['’][A-Za-z]{1,3})?(?:[.,;:!?)\]\"'*”’]{1,3})?")
_FOREIGN = re.compile(rf"[{_OTHER}]")
_SAYS = 4  # characters of such a script that are worth some words
_STEP = 64


def unsettled(text: str, limit: int) -> int:
    """Characters at the end of a text that may be an unfinished disguise, at most `limit`; O(limit)."""
    size = 0
    while size < min(limit, len(text)):
        size = min(size + _STEP, limit, len(text))
        held = _held(text[-size:])
        if held is not None:
            return held
    return _held(text[-size:], whole=True) or 0 if size else 0


def _held(text: str, *, whole: bool = False) -> int | None:
    """As many characters as must wait; None where the text is too short to tell and there is more of it."""
    held, following = 0, 0
    for piece in reversed(list(_PIECE.finditer(text))):
        foreign = _FOREIGN.match(piece[0]) is not None
        if foreign or (piece.end() < len(text) and _PLAIN.fullmatch(piece[0])):
            following += FOLLOWING if foreign and len(piece[0]) >= _SAYS else 1
            if following >= FOLLOWING:
                return held
            continue
        # A word that has not ended says nothing about those before it.
        following = following if piece.end() == len(text) else 0
        held = len(text) - piece.start()
    return held if whole else None
