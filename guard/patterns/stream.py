"""Patterns over a text that comes in chunks: the same hits as in the whole text, wherever it was cut.

Hyperscan keeps its state over the borders of chunks and says which patterns may have ended in the new one; these few
are then looked for in the last `REACH` characters, which are kept. RE2, which has no such state, looks for all
patterns in these. Either way a chunk costs the same in the first thousand characters as in the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from guard.detectors.base import excerpt
from guard.patterns.base import StreamScan
from guard.patterns.bytewise import STRAY
from guard.patterns.folding import unfolds
from guard.patterns.hidden import VIEW, HiddenStream, count_open, escaped
from guard.patterns.search import REACH, Hit, Search, unseen, width
from guard.patterns.tail import Beginnings
from rules.schema import Part

VIEWED = 512
"""Characters at the end whose views are scanned with each chunk."""


@dataclass(frozen=True, slots=True)
class StreamHit:
    """A rule found broken in a stream."""

    rule: str
    span: tuple[int, int]
    """Character offsets, half open, counted from the start of the stream."""
    view: str
    excerpt: str


class PatternStream:
    """Scans one channel of one stream. Not safe to use from several threads at once."""

    def __init__(self, search: Search, part: Part, hidden: HiddenStream | None = None) -> None:
        """A new stream at its beginning. `Patterns.stream` makes one.

        Args:
            search: the patterns.
            part: what the stream is.
            hidden: looks for hidden characters, where a rule names any for this part.
        """
        self._search = search
        self._hidden = hidden
        self._part = part
        self._scan: StreamScan | None = search.engine.stream() if search.entries else None
        self._text = ""
        self._start = 0  # of `_text` in the stream
        self._pending: set[int] = set()
        self._odd_until = 0
        self._told: dict[int, int] = {}  # entry -> end of its last hit that was told

    @property
    def length(self) -> int:
        """Characters fed so far."""
        return self._start + len(self._text)

    @property
    def tail(self) -> int:
        """Characters at the end of what was fed that may still be the beginning of a hit. What stands before them is
        settled: no later chunk can make a hit of it."""
        if not self._text:
            return 0
        hidden = count_open(self._text) if self._hidden else 0
        if not self._search.entries:
            return hidden
        beginnings, limit = self._search.beginnings(self._part)
        if self.length < self._odd_until:  # letters that unfold stand in it: only lengths are sure
            limit = max((width(entry) for entry in self._search.entries if self._part in entry.parts), default=0)
        open_ = max((self._open(made) for made in beginnings), default=0)
        return min(max(open_, limit, hidden), len(self._text))

    def feed(self, chunk: str) -> list[StreamHit]:
        """Scan the next piece.

        Args:
            chunk: any number of characters, none of them split.

        Returns:
            the hits that end in this piece, and those that its first character decides. A hit that has grown since it
            was told (`a.*b`) is told again with its new end. None is told before it is sure that it is one.
        """
        if not chunk or not (self._search.entries or self._hidden):
            return []
        if not self._search.entries:
            self._text += chunk
            hidden = self._look_hidden(len(chunk), last=False)
            self._trim()
            return hidden
        odd = len(self._text) + self._start < self._odd_until
        self._text += chunk
        if not chunk.isascii() and (unfolds("i" + chunk) or any(letter in chunk for letter in STRAY)):
            odd, self._odd_until = True, self.length + REACH + 1
        places = [] if self._scan is None else list(self._scan.feed(chunk))
        if self._scan is None or odd:
            places += self._search.engine.candidates(self._text)
        elif self._scan.rest:
            places += self._scan.rest.candidates(self._text)
        told = self._look(places, odd=odd, last=False) + self._look_hidden(len(chunk), last=False)
        self._trim()
        return told

    def close(self) -> list[StreamHit]:
        """End the stream.

        Returns:
            the hits that only its end decides.
        """
        hidden = self._look_hidden(0, last=True)
        if not self._search.entries:
            return hidden
        places = () if self._scan is None else self._scan.close()
        self._scan = None
        return self._look(places, odd=False, last=True) + hidden

    def _look(self, places: Sequence[int], *, odd: bool, last: bool) -> list[StreamHit]:
        """The hits in what is kept, and in its views, that have not been told."""
        wanted = {*places, *self._pending}
        hits: list[Hit] = []
        if wanted or odd:
            hits = self._search.look(self._part, self._text, wanted, 1 if self._start else 0)
        hits += self._look_in_views(hits)
        self._pending.clear()
        told = []
        for place, start, end, view in hits:
            if not last and end == len(self._text) and self._is_open(place, view):
                self._pending.add(place)
            elif self._start + end > self._told.get(place, 0):
                self._told[place] = self._start + end
                span = (self._start + start, self._start + end)
                rule = self._search.entries[place].rule
                told.append(StreamHit(rule, span, view, excerpt(self._text, (start, end))))
        return told

    def _look_hidden(self, fresh: int, *, last: bool) -> list[StreamHit]:
        if self._hidden is None:
            return []
        return [
            StreamHit(rule, (self._start + start, self._start + end), VIEW + kind, escaped(self._text[start:end]))
            for rule, kind, start, end in self._hidden.look(self._text, self._start, fresh, last=last)
        ]

    def _look_in_views(self, raw: list[Hit]) -> list[Hit]:
        # From a space on where there is one, so that no word is cut into another and no code loses its beginning.
        cut = max(0, len(self._text) - VIEWED)
        space = self._text.find(" ", cut) if cut or self._start else -1
        since = space + 1 if space >= 0 else cut
        found = self._search.find_in_views(self._part, self._text[since:])
        cut_off = since > 0 and space < 0
        moved = [
            Hit(place, start + since, end + since, view) for place, start, end, view in found if start or not cut_off
        ]
        return unseen(moved, raw)

    def _open(self, made: Beginnings) -> int:
        """Characters at the end with which a hit may begin."""
        first = 1 if self._start else 0  # the first one kept is a neighbour alone
        if made.reach is not None:
            first = max(first, len(self._text) - made.reach)
        text = self._text[max(0, first - 1) :]
        data = text.encode("utf-8", "replace")
        found = made.expression.search(data, len(text[0].encode("utf-8", "replace")) if first else 0)
        return len(data[found.start() :].decode()) if found else 0

    def _is_open(self, place: int, view: str) -> bool:
        """Whether what comes next can undo a hit of this entry at the very end."""
        entry = self._search.entries[place]
        return entry.looks_ahead or (view != "raw" and any(entry.borders))

    def _trim(self) -> None:
        # One more than the reach: the character before a hit decides about its border.
        over = len(self._text) - REACH - 1
        if over > 0:
            self._text = self._text[over:]
            self._start += over
