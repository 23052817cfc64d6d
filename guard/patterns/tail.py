"""How much of a text's end may still become a hit: the longest ending with which some hit could begin.

From each pattern an expression is made that matches whatever one of its hits begins with. All of them, tied to the end
of the text, are one expression, which RE2 reads backwards from the end and drops as soon as no pattern is left.

A counted gap (`.{0,400}`) is read there as one without an end: ten such gaps cost 16 ms a chunk where they are counted,
for RE2 then has a state for each number of characters in each of them, and a few microseconds where they are not. No
more than the length of the longest hit is held for them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from guard.patterns.base import SPACES, Entry, options
from guard.patterns.syntax import Anything, Char, Class, Edge, Either, Node, Repeat, Sequence

MAX_MEMORY = 64 << 20
"""Bytes that RE2 may use; patterns that need more are held by their length."""

COUNTED = 8
"""Times up to which a repetition is counted."""

REACHES = (64, 256)
"""Lengths by which patterns with a gap without an end share an expression, so that a wide one does not make the
others be held as long as itself."""


class Beginnings(NamedTuple):
    """What the hits of some patterns begin with."""

    expression: Any
    """Compiled; matches at the end of a text alone."""
    reach: int | None
    """Characters before the end in which such a hit begins, and the one before them; None: anywhere."""


def compile_beginnings(entries: Iterable[tuple[Entry, int]]) -> tuple[list[Beginnings], list[Entry]]:
    """The expressions that match, at the end of a text, what hits begin with.

    Args:
        entries: patterns, and the length of the longest hit of each.

    Returns:
        compiled expressions, and the entries that they leave out.
    """
    import re2

    how = options()
    how.max_mem = MAX_MEMORY
    groups: dict[int | None, list[tuple[str, Entry, int]]] = {}
    left = []
    for entry, width in entries:
        written = _of_entry(entry)
        try:
            re2.compile(written, how)
        except (re2.error, RecursionError):
            left.append(entry)
            continue
        loose = entry.words is None and entry.tree is not None and _has_gap(entry.tree)
        group = next((reach for reach in REACHES if width <= reach), -1) if loose else None
        groups.setdefault(group, []).append((written, entry, width))
    made = []
    for group, members in groups.items():
        try:
            expression = re2.compile(f"(?:{'|'.join(written for written, _, _ in members)})\\z", how)
        except re2.error:
            left += [entry for _, entry, _ in members]
        else:
            made.append(Beginnings(expression, None if group is None else max(width for _, _, width in members)))
    return made, left


def _of_entry(entry: Entry) -> str:
    if entry.words is not None:
        nodes = [Class(SPACES[:-1], True) if char == " " else Char(char) for char in entry.words]
        return _beginning(Sequence(tuple(Repeat(node, 1, None) if isinstance(node, Class) else node for node in nodes)))
    return "(" if entry.tree is None else _beginning(entry.tree)


def _beginning(node: Node) -> str:
    """What a match of the tree begins with, the whole and nothing at all among it; maybe more, never less."""
    match node:
        case Edge():
            return ""
        case Char() | Class() | Anything():
            return _whole(node) + "?"
        case Either(nodes):
            return "(?:" + "|".join(map(_beginning, nodes)) + ")"
        case Repeat(inner, _, most):
            times = "*" if most is None or most > COUNTED else f"{{0,{max(0, most - 1)}}}"
            return f"(?:{_whole(inner)}){times}{_beginning(inner)}"
        case Sequence(nodes):
            written = ""
            for part in reversed(nodes):
                if isinstance(part, Char | Class | Anything):
                    written = f"(?:{_whole(part)}{written})?"
                elif isinstance(part, Edge):
                    written = _whole(part) + written
                else:
                    written = f"(?:{_whole(part)}{written}|{_beginning(part)})"
            return written


def _whole(node: Node) -> str:
    """The tree in RE2's syntax, but for places without width that only more text decides."""
    match node:
        case Char(char):
            return rf"\x{{{ord(char):x}}}"
        case Class(source, fold):
            return source if fold else f"(?-i:{source})"
        case Anything():
            return "."
        case Edge(kind):
            return {"border": r"\b", "start": r"\A"}.get(kind, "")
        case Either(nodes):
            return "(?:" + "|".join(map(_whole, nodes)) + ")"
        case Repeat(inner, least, most):
            fewest, end = min(least, COUNTED), "" if most is None or most > COUNTED else str(most)
            return f"(?:{_whole(inner)}){{{fewest},{end}}}"
        case Sequence(nodes):
            return "".join(map(_whole, nodes))


def _has_gap(node: Node) -> bool:
    """Whether a repetition in the tree is not counted here though it has an end."""
    match node:
        case Repeat(inner, _, most):
            return (most is not None and most > COUNTED) or _has_gap(inner)
        case Sequence(nodes) | Either(nodes):
            return any(map(_has_gap, nodes))
        case _:
            return False
