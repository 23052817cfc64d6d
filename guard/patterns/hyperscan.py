"""The fast engine: hyperscan, for whole texts and for streams.

Literals stand in the database with one space between their words, since a run of spaces of every kind would cost it
three times the scan; a text with other white space is scanned for literals once more, with its white space made plain.
A pattern that hyperscan cannot take stays with RE2's filter.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from guard.patterns import cache
from guard.patterns.base import Entry, Unavailable
from guard.patterns.bytewise import STRAY, TooLoose, literal, translate
from guard.patterns.re2 import Re2Engine

_ODD_SPACES = rb"[\t\n\f\r]|  |\xc2\xa0|\xe1\x9a\x80|\xe2\x80[\x80-\x8a\xa8\xa9\xaf]|\xe2\x81\x9f|\xe3\x80\x80"
"""White space between words that is not one space; hyperscan looks for it on the way, which costs nothing."""


class HyperscanEngine:
    """Names the entries that hyperscan finds in the text."""

    name = "hyperscan"

    def __init__(self, entries: Sequence[Entry], folder: Path | None = None) -> None:
        """Compile the entries, or load them compiled.

        Args:
            entries: all patterns.
            folder: for compiled databases; the user's cache folder where it is left out.

        Raises:
            Unavailable: there is no hyperscan for this machine.
        """
        try:
            import hyperscan
        except ImportError as error:
            raise Unavailable(str(error)) from error
        self._hs = hyperscan
        self._folder = folder or cache.folder()
        self._entries = entries
        self._everything = Re2Engine(entries)  # built only for a text that holds a stray letter
        self._literals, self._regexes = _translate(entries)
        self._odd = len(entries)
        odd = {self._odd: _ODD_SPACES} if self._literals else {}
        made = self._open({**self._literals, **self._regexes, **odd}, hyperscan.HS_MODE_BLOCK)
        self._scan = made.scan
        self._scan_words = self._open(self._literals, hyperscan.HS_MODE_BLOCK).scan
        self._rest = _Rest(entries, made.taken)
        self._lock = Lock()
        self._streams: tuple[_Database, _Database, _Rest] | None = None

    def candidates(self, text: str) -> Sequence[int]:
        """See `Engine.candidates`."""
        lower = text if text.isascii() else text.lower()
        if lower is not text and any(letter in text for letter in STRAY):
            return self._everything.candidates(text)
        found = self._scan(lower.encode("utf-8", "replace"))
        if found and self._odd in found:
            found.remove(self._odd)
            found += self._scan_words(" ".join(lower.split()).encode("utf-8", "replace"))
        return found + self._rest.candidates(text) if self._rest else found

    def stream(self) -> HyperscanStream:
        """A new stream; the databases for streams are made at the first one."""
        with self._lock:
            if self._streams is None:
                literals = self._open(self._literals, self._hs.HS_MODE_STREAM)
                regexes = self._open(self._regexes, self._hs.HS_MODE_STREAM)
                taken = literals.taken | regexes.taken
                self._streams = literals, regexes, _Rest(self._entries, taken)
        return HyperscanStream(*self._streams)

    def _open(self, expressions: Mapping[int, bytes], mode: int) -> _Database:
        """The database of the expressions, from the cache or made now."""
        hs = self._hs
        if not expressions:
            return _Database(None, None, frozenset())
        pieces = [b"%d %d" % (mode, place) + expression for place, expression in expressions.items()]
        path = self._folder / f"{cache.digest(f'hyperscan {hs.__version__}', pieces)}.hs"
        kept = cache.load(path)
        if kept is not None:
            head, _, payload = kept.partition(b"\n")
            try:
                db = hs.loadb(payload, mode)
                db.scratch = hs.Scratch(db)
                return _Database(db, db.scratch, frozenset(json.loads(head)))
            except hs.error:  # of another build or processor, whatever its name says
                pass
        taken = dict(expressions)
        try:
            db = _compile(hs, taken, mode)
        except hs.ArchitectureError as error:
            raise Unavailable(str(error)) from error
        except hs.error:
            taken = self._sift(expressions, mode)
            if not taken:
                return _Database(None, None, frozenset())
            db = _compile(hs, taken, mode)
        cache.save(path, json.dumps(sorted(taken)).encode() + b"\n" + hs.dumpb(db))
        return _Database(db, db.scratch, frozenset(taken))

    def _sift(self, expressions: Mapping[int, bytes], mode: int) -> dict[int, bytes]:
        """The expressions that hyperscan takes, some of them loosened so that it does."""
        taken = {}
        for place, expression in expressions.items():
            ways = [expression, *_loosened(self._entries[place])] if place < len(self._entries) else [expression]
            for tried in ways:
                try:
                    _compile(self._hs, {place: tried}, mode)
                except self._hs.error:
                    continue
                taken[place] = tried
                break
        return taken


class HyperscanStream:
    """One stream through the databases. Keeps its state over chunk borders."""

    def __init__(self, literals: _Database, regexes: _Database, rest: _Rest) -> None:
        self.rest = rest
        self._found: list[int] = []
        # Hyperscan borrows what it is given for a stream: all of it is kept here as long as the stream lives.
        self._databases = (literals, regexes)
        self._literals = literals.open_stream(self._found)
        self._regexes = regexes.open_stream(self._found)
        self._space = True

    def feed(self, chunk: str) -> Sequence[int]:
        """See `StreamScan.feed`."""
        self._found.clear()
        lower = chunk if chunk.isascii() else chunk.lower()
        if self._regexes is not None:
            self._databases[1].scan_on(self._regexes, lower)
        if self._literals is not None and (words := self._plain(lower)):
            self._databases[0].scan_on(self._literals, words)
        return list(self._found)

    def close(self) -> Sequence[int]:
        """See `StreamScan.close`."""
        self._found.clear()
        streams = (self._literals, self._regexes)
        self._literals = self._regexes = None
        for database, stream in zip(self._databases, streams, strict=True):
            if stream is not None:
                database.close_stream(stream)
        return list(self._found)

    def __del__(self) -> None:
        # The engine's state is not freed with its object. It cannot be here, in the midst of who knows what.
        if hasattr(self, "_space"):
            for database, stream in zip(self._databases, (self._literals, self._regexes), strict=True):
                if stream is not None:
                    database.leave(stream, self._found)

    def _plain(self, chunk: str) -> str:
        """The chunk with each run of white space as one space, the one that goes on from the chunk before too."""
        if not chunk:
            return ""
        words = " ".join(chunk.split())
        if chunk[0].isspace() and not self._space:
            words = " " + words
        self._space = chunk[-1].isspace()
        return words + " " if self._space and words.strip() else words


class _Rest:
    """The entries that hyperscan did not take, in RE2's filter."""

    def __init__(self, entries: Sequence[Entry], taken: frozenset[int]) -> None:
        self._places = [place for place in range(len(entries)) if place not in taken]
        self._engine = Re2Engine([entries[place] for place in self._places])

    def __bool__(self) -> bool:
        return bool(self._places)

    def candidates(self, text: str) -> list[int]:
        """Those that may be in the text."""
        return [self._places[found] for found in self._engine.candidates(text)]


class _Database:
    """One compiled database with working memory for each scan that runs at the same time."""

    def __init__(self, db: Any, scratch: Any, taken: frozenset[int]) -> None:
        self.taken = taken
        self._db = db
        self._master = scratch  # never scanned with, so that it can always be copied
        self._spare: list[Any] = []
        self._left: list[Any] = []
        self._lock = Lock()

    def scan(self, data: bytes) -> list[int]:
        """The ids of what is in the data, each once."""
        found: list[int] = []
        if self._db is None:
            return found
        scratch = self._borrow()
        self._db.scan(data, _note, 0, found, scratch)
        self._spare.append(scratch)
        return found

    def _borrow(self) -> Any:
        try:
            return self._spare.pop()
        except IndexError:
            with self._lock:
                return self._master.clone()

    def open_stream(self, found: list[int]) -> Any:
        """A stream whose hits are added to `found`; None where the database is empty."""
        if self._db is None:
            return None
        while self._left:
            stream, _kept = self._left.pop()
            self.close_stream(stream)
        return self._db.stream(_note, 0, found).__enter__()

    def leave(self, stream: Any, found: list[int]) -> None:
        """Let a stream be closed before the next one is opened; it still writes to its `found`."""
        self._left.append((stream, found))

    def scan_on(self, stream: Any, text: str) -> None:
        """Scan the next piece of a stream."""
        scratch = self._borrow()
        stream.scan(text.encode("utf-8", "replace"), scratch=scratch)
        self._spare.append(scratch)

    def close_stream(self, stream: Any) -> None:
        """End a stream; what only its end decides is added to its `found`."""
        with self._lock:  # version 0.9.1 takes no scratch here but the database's own
            stream.close()


def _note(place: int, start: int, end: int, flags: int, found: list[int]) -> None:
    """Hyperscan's callback. It borrows the function and counts on it: never a lambda made for one call."""
    found.append(place)


def _translate(entries: Iterable[Entry]) -> tuple[dict[int, bytes], dict[int, bytes]]:
    """Literals and expressions in hyperscan's words, by place; what cannot be said is left out."""
    literals, regexes = {}, {}
    for place, entry in enumerate(entries):
        try:
            if entry.words is not None:
                literals[place] = literal(entry.words)
            elif entry.tree is not None:
                regexes[place] = translate(entry.tree)
        except TooLoose:
            continue
    return literals, regexes


def _loosened(entry: Entry) -> list[bytes]:
    """The entry with counted gaps of any length, if it can be said so."""
    try:
        return [] if entry.tree is None else [translate(entry.tree, loose=True)]
    except TooLoose:
        return []


def _compile(hs: Any, expressions: Mapping[int, bytes], mode: int) -> Any:
    flags = hs.HS_FLAG_CASELESS | hs.HS_FLAG_DOTALL | (hs.HS_FLAG_SINGLEMATCH if mode == hs.HS_MODE_BLOCK else 0)
    db = hs.Database(mode=mode)
    db.compile(
        expressions=list(expressions.values()),
        ids=list(expressions),
        elements=len(expressions),
        flags=[flags] * len(expressions),
    )
    return db
