"""RE2's syntax, read into a tree, so that an expression can be put in the words of another engine.

Takes only what RE2 has compiled, and so need not tell what is wrong. What it does not know it gives up on: that
expression then stays with RE2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

_COUNTED = re.compile(r"\{(\d+)(,(\d*))?\}")
_FLAGS = re.compile(r"\?([imsU]*)(?:-([imsU]+))?([:)])")
_NAME = re.compile(r"\?P?<\w+>")
_CODE = re.compile(r"x\{([0-9A-Fa-f]+)\}|x([0-9A-Fa-f]{2})|(0[0-7]{0,2}|[1-7][0-7]{1,2})")
_CONTROL = {"a": "\a", "f": "\f", "t": "\t", "n": "\n", "r": "\r", "v": "\v"}
_SIMPLE = {"*": (0, None), "+": (1, None), "?": (0, 1)}


class UnknownSyntax(ValueError):
    """The reader does not know this; RE2 alone does."""


@dataclass(frozen=True, slots=True)
class Char:
    """One character that stands for itself."""

    char: str


@dataclass(frozen=True, slots=True)
class Class:
    """One character of a set, written as RE2 writes it."""

    source: str
    fold: bool
    """Whether letter case is ignored."""


@dataclass(frozen=True, slots=True)
class Anything:
    """Any character, line breaks too; more than `.` may mean, never less."""


@dataclass(frozen=True, slots=True)
class Edge:
    """A place without width."""

    kind: Literal["border", "start", "other"]


@dataclass(frozen=True, slots=True)
class Sequence:
    """One after the other."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """One of them."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """The same again and again."""

    node: Node
    least: int
    most: int | None
    """None: without end."""


Node: TypeAlias = "Char | Class | Anything | Edge | Sequence | Either | Repeat"


@dataclass(frozen=True, slots=True)
class _Flags:
    fold: bool = True
    lines: bool = False


def parse(expression: str) -> Node:
    """The tree of an expression that RE2 takes, in any letter case and with `.` for line breaks too.

    Raises:
        UnknownSyntax: there is something in it that this reader does not know.
    """
    return _Reader(expression).read()


def plain_characters(expression: str) -> Iterator[tuple[int, str]]:
    """Place and character of all that is written as itself, outside classes and quotes."""
    reader = _Reader(expression)
    try:
        reader.read()
    except UnknownSyntax:
        return iter(())
    return iter(reader.plain)


def longest(node: Node) -> int | None:
    """Characters of the longest text that the tree can match; None where there is no end."""
    match node:
        case Char() | Class() | Anything():
            return 1
        case Edge():
            return 0
        case Repeat(inner, _, most):
            width = longest(inner)
            return 0 if width == 0 else None if width is None or most is None else width * most
        case Sequence(nodes) | Either(nodes):
            widths = [longest(part) for part in nodes]
            known = [width for width in widths if width is not None]
            if len(known) < len(widths):
                return None
            return sum(known) if isinstance(node, Sequence) else max(known, default=0)


def has_edges(node: Node) -> bool:
    """Whether what stands beside a hit can matter."""
    match node:
        case Edge():
            return True
        case Repeat(inner, _, _):
            return has_edges(inner)
        case Sequence(nodes) | Either(nodes):
            return any(has_edges(part) for part in nodes)
        case _:
            return False


class _Reader:
    """Reads from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.plain: list[tuple[int, str]] = []

    def read(self) -> Node:
        node, _ = self.either(_Flags())
        if self.at < len(self.text):
            raise UnknownSyntax(self.text[self.at :])
        return node

    def either(self, flags: _Flags) -> tuple[Node, _Flags]:
        nodes = []
        while True:
            node, flags = self.sequence(flags)  # flags set in one branch hold in the next ones
            nodes.append(node)
            if not self.text.startswith("|", self.at):
                return (nodes[0] if len(nodes) == 1 else Either(tuple(nodes))), flags
            self.at += 1

    def sequence(self, flags: _Flags) -> tuple[Node, _Flags]:
        nodes: list[Node] = []
        while self.at < len(self.text) and self.text[self.at] not in "|)":
            if self.text.startswith("(?", self.at) and (found := _FLAGS.match(self.text, self.at + 1)):
                self.at = found.end()
                inner = _set(flags, found[1], found[2] or "")
                if found[3] == ")":
                    flags = inner
                    continue
                nodes.append(self.repeated(self.closed(inner)))
            elif self.text.startswith("\\Q", self.at):
                quoted = self.quote()
                # a repeat after `\E` belongs to the last character alone
                nodes += quoted[:-1] + [self.repeated(char) for char in quoted[-1:]]
            else:
                nodes.append(self.repeated(self.atom(flags)))
        return (nodes[0] if len(nodes) == 1 else Sequence(tuple(nodes))), flags

    def closed(self, flags: _Flags) -> Node:
        node, _ = self.either(flags)
        if not self.text.startswith(")", self.at):
            raise UnknownSyntax(self.text)
        self.at += 1
        return node

    def quote(self) -> list[Node]:
        end = self.text.find("\\E", self.at)
        inside = self.text[self.at + 2 : end if end >= 0 else len(self.text)]
        self.at = len(self.text) if end < 0 else end + 2
        return [Char(char) for char in inside]

    def atom(self, flags: _Flags) -> Node:
        start, char = self.at, self.text[self.at]
        self.at += 1
        if char == "(":
            if self.text.startswith("?", self.at):
                named = _NAME.match(self.text, self.at)
                if not named:
                    raise UnknownSyntax(self.text[start:])
                self.at = named.end()
            return self.closed(flags)
        if char == "[":
            return self.char_class(start, flags)
        if char == "\\":
            return self.escape(start, flags)
        if char == ".":
            return Anything()
        if char == "^":
            return Edge("other" if flags.lines else "start")
        if char == "$":
            return Edge("other")
        self.plain.append((start, char))
        return Char(char)

    def char_class(self, start: int, flags: _Flags) -> Node:
        if self.text.startswith("^", self.at):
            self.at += 1
        first = self.at
        while self.at < len(self.text) and (self.text[self.at] != "]" or self.at == first):
            if self.text.startswith("[:", self.at) and self.text.find(":]", self.at) > 0:
                self.at = self.text.index(":]", self.at) + 1
            elif self.text[self.at] == "\\":
                self.at += 1
            self.at += 1
        self.at += 1
        return Class(self.text[start : self.at], flags.fold)

    def escape(self, start: int, flags: _Flags) -> Node:
        char = self.text[self.at : self.at + 1]
        code = _CODE.match(self.text, self.at)
        if code:
            self.at = code.end()
            return Char(chr(int(code[3], 8) if code[3] else int(code[1] or code[2], 16)))
        self.at += 1
        if char in "pP":
            self.at = self.text.index("}", self.at) + 1 if self.text.startswith("{", self.at) else self.at + 1
            return Class(self.text[start : self.at], flags.fold)
        if char in "dDsSwW":
            return Class("\\" + char, flags.fold)
        if char == "b":
            return Edge("border")
        if char in "BAz":
            return Edge("start" if char == "A" else "other")
        if char in _CONTROL:
            return Char(_CONTROL[char])
        if not char or (char.isascii() and char.isalnum()):
            raise UnknownSyntax(f"\\{char}")
        return Char(char)

    def repeated(self, node: Node) -> Node:
        while self.at < len(self.text):
            counted = _COUNTED.match(self.text, self.at)
            if counted:
                least = int(counted[1])
                most = least if counted[2] is None else int(counted[3]) if counted[3] else None
                self.at = counted.end()
            elif self.text[self.at] in _SIMPLE:
                least, most = _SIMPLE[self.text[self.at]]
                self.at += 1
            else:
                break
            if self.text.startswith("?", self.at):  # lazy: other spans, the same texts
                self.at += 1
            node = Repeat(node, least, most)
        return node


def _set(flags: _Flags, on: str, off: str) -> _Flags:
    fold = (flags.fold or "i" in on) and "i" not in off
    return replace(flags, fold=fold, lines=(flags.lines or "m" in on) and "m" not in off)
