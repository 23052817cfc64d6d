"""One pattern ready to run, where its hits lie, and what an engine owes.

An engine only names the patterns that may be in a text. The spans of these few are found here, by RE2 and by the
borders of words, so that they are the same whichever engine named them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from guard.patterns.borders import is_word, sides
from guard.patterns.folding import unfold, widen
from guard.patterns.syntax import Node, UnknownSyntax, has_edges, longest, parse, plain_characters
from rules.schema import Part, Pattern

MAX_SPANS = 256
"""Hits reported of one pattern in one text; the last one reaches to the end of the text, so that nothing after it
goes unmarked. Without a bound, `a(.*b)?` over a text of `a`s would cost quadratic time."""

VALUE = "value"
"""The name of the group that a hit is, where an expression has one: what stands before it is seen and not marked."""

MAX_MEMORY = 8 << 20
"""Bytes that RE2 may use for one pattern."""

SPACES = r"[\s\p{Z}]+"


@dataclass(frozen=True)
class Entry:
    """One pattern of one rule. Compiled when it is first needed, which for most patterns is never."""

    rule: str
    parts: frozenset[Part]
    expression: str
    """In RE2's syntax."""
    words: str | None
    """Of a literal: its words with one space between; None for an expression."""

    @classmethod
    def of(cls, rule: str, parts: frozenset[Part], pattern: Pattern) -> Entry:
        """The entry of a pattern as it stands in a rule."""
        if pattern.regex is not None:
            return cls(rule, parts, widen(pattern.regex, plain_characters(pattern.regex)), None)
        import re2

        words = unfold(unicodedata.normalize("NFC", clean(pattern.literal or ""))).split()
        return cls(rule, parts, SPACES.join(re2.escape(word) for word in words), " ".join(words))

    @cached_property
    def regexp(self) -> Any:
        """The compiled expression."""
        import re2

        return re2.compile(self.expression, options())

    @cached_property
    def borders(self) -> tuple[bool, bool]:
        """Whether a hit must begin and end at a word border; (False, False) for expressions."""
        return sides(self.words or "")

    @cached_property
    def tree(self) -> Node | None:
        """What the expression says; None where only RE2 knows."""
        try:
            return parse(self.expression)
        except UnknownSyntax:
            return None

    @cached_property
    def longest(self) -> int | None:
        """Characters of the longest hit, a run of spaces in a literal counted as one; None where there is no end."""
        if self.words is not None:
            return len(self.words)
        return longest(self.tree) if self.tree is not None else None

    @cached_property
    def looks_ahead(self) -> bool:
        """Whether the character after a hit can undo it."""
        if self.words is not None:
            return self.borders[1]
        return self.tree is None or has_edges(self.tree)


class Unavailable(Exception):
    """An engine cannot run on this machine."""


class Engine(Protocol):
    """All patterns in one database. Safe to use from several threads."""

    @property
    def name(self) -> str:
        """Which engine it is."""

    def candidates(self, text: str) -> Sequence[int]:
        """The places of the entries that may be in the text: all that are, and maybe others. In no order."""

    def stream(self) -> StreamScan | None:
        """A scan that goes on from chunk to chunk; None where the engine has none."""


class StreamScan(Protocol):
    """One stream's state. Not safe to use from several threads at once."""

    def feed(self, chunk: str) -> Sequence[int]:
        """The entries of which a hit may end in this chunk: all of which one does, and maybe others."""

    def close(self) -> Sequence[int]:
        """Let go of the state.

        Returns:
            the entries of which a hit may end at the very end, which only now is known to be one.
        """

    @property
    def rest(self) -> Rest:
        """What the stream does not look for."""


class Rest(Protocol):
    """Entries that have to be looked for in the text itself."""

    def __bool__(self) -> bool:
        """Whether there are any."""

    def candidates(self, text: str) -> Sequence[int]:
        """Those that may be in the text."""


def options() -> Any:
    """How every pattern is read."""
    import re2

    options = re2.Options()
    options.case_sensitive = False
    options.dot_nl = True  # a line break between two words must not hide them from `.{0,40}`
    options.log_errors = False  # errors are raised; the engine would also write them to stderr
    options.max_mem = MAX_MEMORY
    return options


def clean(text: str) -> str:
    """The text with each lone surrogate, which has no UTF-8 form, as `?`; the count of characters stays."""
    return text.encode("utf-8", "replace").decode()


def spans(entry: Entry, text: str, data: bytes, at: int = 0) -> Iterator[tuple[int, int]]:
    """Spans of an entry's hits as character offsets; at most MAX_SPANS, the last to the end of the text.

    Args:
        entry: a pattern.
        text: where to look.
        data: the text in UTF-8.
        at: the first byte at which a hit may begin; what stands before it is seen by `^` and `\\b`.
    """
    before, after = entry.borders
    search = entry.regexp.search
    group = entry.regexp.groupindex.get(VALUE, 0)
    ascii_only = len(data) == len(text)
    byte = char = count = 0
    # Past the end RE2 would find an empty hit at the end again and again.
    while at <= len(data) and (match := search(data, at)):
        first, last = match.span(group)
        if first < 0:  # the group stands in a branch that was not taken
            first, last = match.span()
        if first == last:
            at = last + 1
            continue
        if ascii_only:
            start, end = first, last
        else:
            # Counted from the hit before, so that all hits together cost one walk over the text.
            start = char + len(data[byte:first].decode("utf-8", "replace"))
            end = start + len(data[first:last].decode("utf-8", "replace"))
            byte, char = first, start
        if (before and start and is_word(text[start - 1])) or (after and end < len(text) and is_word(text[end])):
            at = first + 1  # not `last`: a whole word may begin inside a hit that is none
            continue
        count += 1
        if count == MAX_SPANS:
            yield start, len(text)
            return
        yield start, end
        at = last
