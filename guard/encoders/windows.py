"""A long text's windows: they cover it, overlap, and fit an encoder each."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator

from guard.encoders.base import clean

_PIECE = 1 << 16
"""Characters that go through the tokenizer at once: its account of a token takes some hundred bytes."""

_SPARE = 8
"""Tokens of a window left free, for special ones and for words that split otherwise at its edge."""

Offsets = Callable[[str], list[tuple[int, int]]]
"""Gives the half-open character spans of a text's tokens."""


def windows(text: str, limit: int, offsets: Offsets) -> list[tuple[int, int]]:
    """Half-open character spans that cover the text. Linear in its length.

    Args:
        text: any text; a blank one has no windows.
        limit: tokens that the encoder takes, special ones counted.
        offsets: the tokenizer, without special tokens and without truncation.

    Returns:
        Spans in order, each overlapping the one before by about a quarter; a text that fits is one span.
    """
    if not text.strip():
        return []
    room = limit - _SPARE if limit >= 2 * _SPARE else max(1, limit // 2)
    # A token stands for a character at the least, so a short plain text needs no tokenizer.
    if len(text) < room and text.isascii():
        return [(0, len(text))]
    starts, ends = array("q"), array("q")
    for begin, end in pieces(text):
        for first, last in offsets(clean(text[begin:end])):
            if last > first:
                starts.append(begin + first)
                ends.append(begin + last)
    overlap = room // 4
    spans, first = [], 0
    while first + room < len(starts):
        # The first and the last window reach to the ends, so that no character is left out.
        spans.append((starts[first] if first else 0, ends[first + room - 1]))
        first = _word_start(starts, ends, first + room - overlap, overlap // 2)
    spans.append((starts[first] if first else 0, len(text)))
    return spans


def room_beside(text: str, limit: int, offsets: Offsets) -> int:
    """What a limit leaves to a window that stands behind another text; never less than a quarter of it."""
    return max(limit // 4, limit - len(offsets(clean(text)))) if text else limit


def by_bytes(text: str) -> list[tuple[int, int]]:
    """For a tokenizer that cannot say where its tokens are: as if each byte were one, which no tokenizer exceeds."""
    return [(place, place + 1) for place, letter in enumerate(text) for _ in letter.encode()]


def _word_start(starts: array[int], ends: array[int], place: int, most: int) -> int:
    """The next token with a gap before it, at most some tokens on: the rest of a word has other tokens than in it."""
    for token in range(place, place + most):
        if starts[token] > ends[token - 1]:
            return token
    return place


def pieces(text: str) -> Iterator[tuple[int, int]]:
    """Spans of the text, cut at spaces where there are some."""
    begin = 0
    while begin < len(text):
        end = begin + _PIECE
        if end < len(text):
            end = max(text.rfind(" ", begin + _PIECE // 2, end), text.rfind("\n", begin + _PIECE // 2, end)) + 1 or end
        yield begin, min(end, len(text))
        begin = end
