"""All patterns over all views of a text."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from guard.patterns.base import Engine, Entry, Unavailable, spans
from guard.patterns.folding import origins, unfold, unfolds
from guard.patterns.re2 import Re2Engine
from guard.patterns.tail import Beginnings, compile_beginnings
from guard.views import Views, views
from rules.schema import Part

REACH = 1024
"""Characters of the longest hit that is sure to be found in a stream whatever the cuts. Patterns without an end
(`a.*b`) are found as far as this; in a literal, so are words with up to that much white space between them."""


FOLLOWED = 64
"""Patterns, the widest first, whose beginnings are followed in a stream; with more, following costs more than it
saves. The others are held by the length of their longest hit."""


class Hit(NamedTuple):
    """One pattern found at one span."""

    place: int
    """Of the entry."""
    start: int
    """Character offset in the original text."""
    end: int
    view: str = "raw"


class Search:
    """The patterns of a constitution, ready to be looked for. Safe to use from several threads."""

    def __init__(self, entries: Sequence[Entry], *, engine: str = "auto", folder: Path | None = None) -> None:
        """Compile, or load compiled, all entries.

        Args:
            entries: the patterns.
            engine: `hyperscan`, `re2`, or `auto`: the first of them that runs here.
            folder: for compiled databases; the user's cache folder where it is left out.

        Raises:
            Unavailable: the engine asked for cannot run here.
        """
        self.entries = tuple(entries)
        self.engine = open_engine(self.entries, engine, folder)
        self._lock = Lock()
        self._beginnings: dict[Part, tuple[list[Beginnings], int]] = {}

    def beginnings(self, part: Part) -> tuple[list[Beginnings], int]:
        """What hits in a part begin with, and the length of the longest hit that this leaves out."""
        with self._lock:
            if part not in self._beginnings:
                widest = sorted((entry for entry in self.entries if part in entry.parts), key=width, reverse=True)
                made, left = compile_beginnings([(entry, width(entry)) for entry in widest[:FOLLOWED]])
                self._beginnings[part] = made, max(map(width, [*left, *widest[FOLLOWED:]]), default=0)
            return self._beginnings[part]

    def find(self, part: Part, text: str, seen: Views | None = None) -> list[Hit]:
        """The hits in the text and in each of its views; what a view shows again of an earlier one is left out.

        Args:
            part: what the text is.
            text: the original.
            seen: its views, where they have been made already.
        """
        if not text or not self.entries:
            return []
        places = self.engine.candidates(text)
        found = self.look(part, text, places) if places or not text.isascii() else []
        seen = seen or views(text)
        return found if len(seen.all) == 1 else found + self.find_in_views(part, text, found, seen)

    def find_in_views(self, part: Part, text: str, before: Sequence[Hit] = (), seen: Views | None = None) -> list[Hit]:
        """The hits in the views beside the raw one, each at its place in the text, but for those that `before` tells.

        Args:
            part: what the text is.
            text: the original.
            before: hits in the raw text.
            seen: the views, where they have been made already.
        """
        found: list[Hit] = []
        for view in (seen or views(text)).all[1:]:
            places = self.engine.candidates(view.text)
            if places or not view.text.isascii():
                hits = [
                    Hit(hit.place, *view.span(hit.start, hit.end), view.name)
                    for hit in self.look(part, view.text, places)
                ]
                found += unseen(hits, [*before, *found])
        return found

    def look(self, part: Part, text: str, places: Iterable[int], since: int = 0) -> list[Hit]:
        """The hits of these entries in one text, and of all entries in it with its letters unfolded.

        Args:
            part: what the text is.
            text: where to look.
            places: the entries that may be in it.
            since: offset at which a hit may begin; what stands before it is seen as its neighbour.
        """
        found = self._confirm(part, text, places, since)
        if unfolds(text):
            unfolded = unfold(text)
            hits = self._confirm(part, unfolded, self.engine.candidates(unfolded), since and len(unfold(text[:since])))
            if hits:
                origin = origins(text)
                found += unseen([Hit(hit.place, origin[hit.start], origin[hit.end - 1] + 1) for hit in hits], found)
        return found

    def _confirm(self, part: Part, text: str, places: Iterable[int], since: int) -> list[Hit]:
        found: list[Hit] = []
        data = b""
        for place in sorted(set(places)):
            entry = self.entries[place]
            if part in entry.parts:
                data = data or text.encode("utf-8", "replace")
                at = len(text[:since].encode("utf-8", "replace")) if since else 0
                found += [Hit(place, start, end) for start, end in spans(entry, text, data, at)]
        return found


def open_engine(entries: Sequence[Entry], name: str = "auto", folder: Path | None = None) -> Engine:
    """The engine of that name; `auto` is hyperscan where it runs, and RE2 elsewhere, which finds the same.

    Raises:
        Unavailable: that engine cannot run here.
    """
    if name == "re2":
        return Re2Engine(entries)
    from guard.patterns.hyperscan import HyperscanEngine

    try:
        return HyperscanEngine(entries, folder)
    except Unavailable:
        if name != "auto":
            raise
        return Re2Engine(entries)


def width(entry: Entry) -> int:
    """Characters that a hit may have, as far as a stream reaches, with the one after it that decides."""
    return min(entry.longest or REACH, REACH) + entry.looks_ahead


def unseen(hits: Sequence[Hit], before: Sequence[Hit]) -> list[Hit]:
    """Those hits that overlap no earlier hit of the same pattern."""
    seen: dict[int, list[tuple[int, int]]] = {}
    for hit in before:
        seen.setdefault(hit.place, []).append((hit.start, hit.end))
    for taken in seen.values():
        taken.sort()
    kept = []
    for hit in hits:
        taken = seen.get(hit.place, [])
        # Spans taken do not overlap one another, so only the last that begins before this one's end can meet it.
        at = bisect_left(taken, (hit.end, 0))
        if at == 0 or taken[at - 1][1] <= hit.start:
            kept.append(hit)
    return kept
