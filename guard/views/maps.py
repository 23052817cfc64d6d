"""Where each character of a rewritten text came from: stretches kept in arrays, one lookup by bisection.

A stretch of the new text that was copied, decoded at a fixed rate (four base64 letters for three characters) or
mirrored is one row, however long. Only what was rewritten out of step costs a row of its own.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right

Span = tuple[int, int]

BLOCK = (0, 1)
"""The rate of a stretch that came from its source as a whole: each character maps to all of it."""
COPY = (1, 1)
MIRROR = (-1, 1)
EVERY_OTHER = (2, 0)
"""The rate of letters that stood apart by one character each, which is left out."""


class Map:
    """Spans of a text to spans of the text that it was made from."""

    __slots__ = ("_at", "_den", "_high", "_length", "_low", "_num", "_source")

    def __init__(self, length: int, source: int) -> None:
        """An empty map of a text of `length` characters made from one of `source` characters."""
        self._at = array("q")
        self._low = array("q")
        self._high = array("q")
        self._num = array("b")
        self._den = array("b")
        self._length = length
        self._source = source

    @classmethod
    def mirror(cls, length: int) -> Map:
        """The map of a text read backwards."""
        turned = cls(length, length)
        turned.add(0, 0, length, MIRROR)
        return turned

    def add(self, at: int, low: int, high: int, rate: tuple[int, int]) -> None:
        """The stretch from `at` up to the next stretch came from [low, high), `rate` source characters to each."""
        self._at.append(at)
        self._low.append(low)
        self._high.append(high)
        self._num.append(rate[0])
        self._den.append(rate[1])

    def end(self, length: int) -> Map:
        """Say how long the new text became."""
        self._length = length
        return self

    @property
    def rows(self) -> int:
        """Stretches held."""
        return len(self._at)

    def span(self, start: int, end: int) -> Span:
        """The smallest span of the source known to hold all that [start, end) was made from. O(log rows)."""
        start = max(0, start)
        end = min(end, self._length)
        if not self._at:
            return (0, 0)
        if start >= end:
            place = self._cell(start)[0] if start < self._length else self._source
            return (place, place)
        first = bisect_right(self._at, start) - 1
        last = bisect_right(self._at, end - 1) - 1
        if first == last:
            one, other = self._within(first, start), self._within(first, end - 1)
        else:
            # A mirrored word at the edge of a longer span is taken whole: its letters run the other way.
            one = self._whole(first) if self._num[first] < 0 else self._within(first, start)
            other = self._whole(last) if self._num[last] < 0 else self._within(last, end - 1)
        return min(one[0], other[0]), max(one[1], other[1])

    def _cell(self, index: int) -> Span:
        return self._within(bisect_right(self._at, index) - 1, index)

    def _whole(self, row: int) -> Span:
        return self._low[row], self._high[row]

    def _within(self, row: int, index: int) -> Span:
        low, high, num, den = self._low[row], self._high[row], self._num[row], self._den[row]
        if num == 0:
            return low, high
        step = index - self._at[row]
        if num < 0:
            return high - step - 1, high - step
        if den == 0:
            return low + step * num, low + step * num + 1
        begin = min(low + step * num // den, high - 1)
        return begin, max(begin + 1, min(high, low + -(-(step + 1) * num // den)))


class Rewrite:
    """Builds a text and its map from left to right: what is not replaced is copied."""

    __slots__ = ("_done", "_map", "_pieces", "_size", "_text")

    def __init__(self, text: str) -> None:
        """Start with nothing of `text` copied yet."""
        self._text = text
        self._pieces: list[str] = []
        self._done = 0
        self._size = 0
        self._map = Map(0, len(text))

    def put(self, start: int, end: int, new: str, rate: tuple[int, int] = BLOCK) -> None:
        """Copy up to `start`, then put `new` in the place of [start, end). Calls go from left to right."""
        self.copy(start)
        if new:
            self._map.add(self._size, start, end, rate)
            self._pieces.append(new)
            self._size += len(new)
        self._done = end

    def copy(self, end: int) -> None:
        """Copy what lies between the last replaced stretch and `end`."""
        if end > self._done:
            self._map.add(self._size, self._done, end, COPY)
            self._pieces.append(self._text[self._done : end])
            self._size += end - self._done
            self._done = end

    def skip(self, end: int) -> None:
        """Leave out what lies between the last replaced stretch and `end`."""
        self._done = max(self._done, end)

    def finish(self) -> tuple[str, Map] | None:
        """The new text and its map, or None where nothing was replaced."""
        if not self._done:
            return None
        self.copy(len(self._text))
        return "".join(self._pieces), self._map.end(self._size)
