"""How much of a text's end may still become a hit: the longest ending with which some hit could begin.

From each pattern an expression is made that matches whatever one of its hits begins with. All of them, tied to the end
of the text, are one expression, which RE2 reads backwards from the end and drops as soon as no pattern is left.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from guard.patterns.base import SPACES, Entry, options
from guard.patterns.syntax import Anything, Char, Class, Edge, Either, Node, Repeat, Sequence

MAX_MEMORY = 64 << 20
"""Bytes that RE2 may use; patterns that need more are held by their length."""


def compile_beginnings(entries: Iterable[Entry]) -> tuple[Any, list[Entry]]:
    """The expression that matches, at the end of a text, what hits begin with.

    Returns:
        the compiled expression, and the entries that it leaves out.
    """
    import re2

    how = options()
    how.max_mem = MAX_MEMORY
    said, left = [], []
    for entry in entries:
        written = _of_entry(entry)
        try:
            re2.compile(written, how)
        except (re2.error, RecursionError):
            left.append(entry)
        else:
            said.append((written, entry))
    try:
        return re2.compile(f"(?:{'|'.join(written for written, _ in said)})\\z", how), left
    except re2.error:
        return re2.compile("\\z", how), [*left, *(entry for _, entry in said)]


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
            times = "*" if most is None else f"{{0,{max(0, most - 1)}}}"
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
            return f"(?:{_whole(inner)}){{{least},{'' if most is None else most}}}"
        case Sequence(nodes):
            return "".join(map(_whole, nodes))
