"""Where the strings of JSON lie that comes in pieces, so that masks can be put into them and leave it JSON."""

from __future__ import annotations

import re
from bisect import bisect_right

Span = tuple[int, int]

_MARK = re.compile(r'\\(?:u[0-9A-Fa-f]{0,4}|[^u])?|"', re.DOTALL)
_STRUCTURE = re.compile(r'[\s{}\[\],:"]*')
_BEGINS = frozenset('{["')
_KEPT = 1024
"""Strings and escapes that are remembered, counted from the end; a hit reaches back over far fewer."""


class Strings:
    """Follows one stream of JSON. What does not begin as JSON does is plain text, and all of it is one string."""

    def __init__(self) -> None:
        """At the stream's beginning."""
        self._plain: bool | None = None
        self._length = 0
        self._carried = ""  # an escape that has not ended
        self._open = False
        self._begins: list[int] = []  # of strings, behind the quotation mark
        self._ends: list[int] = []  # shorter by one while a string is open
        self._escapes: list[Span] = []

    def feed(self, text: str) -> None:
        """Take the next piece in."""
        if self._plain is None and text.strip():
            self._plain = text.lstrip()[0] not in _BEGINS
        start = self._length - len(self._carried)
        self._length += len(text)
        if self._plain:
            return
        text, self._carried = self._carried + text, ""
        for mark in _MARK.finditer(text):
            at, end = start + mark.start(), start + mark.end()
            if mark[0] == '"':
                (self._ends.append(at) if self._open else self._begins.append(end))
                self._open = not self._open
            elif mark.end() == len(text) and len(mark[0]) < (6 if mark[0][1:2] == "u" else 2):
                self._carried = mark[0]
            else:
                self._escapes.append((at, end))
        if len(self._begins) > 2 * _KEPT:
            del self._begins[:_KEPT], self._ends[:_KEPT]
        if len(self._escapes) > 2 * _KEPT:
            del self._escapes[:_KEPT]

    def fit(self, span: Span, text: str) -> list[Span] | None:
        """Those parts of a span that lie in strings, grown to whole escapes.

        Args:
            span: within what has come.
            text: what stands there.

        Returns:
            None where it holds a number or a word outside of strings, for which no mask could stand, or no string.
        """
        if self._plain:
            return [span]
        start, end = span
        fitted: list[Span] = []
        at = start
        place = max(0, bisect_right(self._begins, start) - 1)
        while place < len(self._begins) and self._begins[place] < end:
            first = self._begins[place]
            last = self._ends[place] if place < len(self._ends) else self._length
            low, high = max(first, start), min(last, end)
            if low < high:
                if not _STRUCTURE.fullmatch(text, at - start, low - start):
                    return None
                fitted.append(self._grown(low, high))
                at = high
            place += 1
        return fitted if fitted and _STRUCTURE.fullmatch(text, at - start) else None

    def _grown(self, low: int, high: int) -> Span:
        for start, end in reversed(self._escapes):
            if end <= low:
                break
            if start < low < end:
                low = start
            if start < high < end:
                high = end
        return low, high
