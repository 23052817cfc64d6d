"""An expression put into bytes for hyperscan: it finds at least every text that RE2 finds, and seldom another.

Hyperscan is only asked which patterns may be in a text; RE2 then finds their spans. So what hyperscan says otherwise
may be said loosely here: characters beyond ASCII become their UTF-8 bytes and need neither of its Unicode modes (in
one of which there is no `\\b`), and a gap of 40 characters becomes one of up to 160 bytes, which it can count cheaply.

Texts are scanned in lower case, and never one that holds a letter of `STRAY`.
"""

from __future__ import annotations

from itertools import groupby

from guard.patterns.letters import cases, members
from guard.patterns.syntax import Anything, Char, Class, Edge, Either, Node, Repeat, Sequence

STRAY = ("\u212a", "\u017f", "\u0130")
"""The Kelvin sign, the long s and the dotted capital I: beyond ASCII, with ASCII in another case. RE2 scans what holds
them."""

MAX_SIZE = 4000
"""Places in one expression past which hyperscan takes seconds to compile it."""

_BEYOND = rb"\x80-\xff"


class TooLoose(ValueError):
    """It cannot be said in bytes, or would cost too much."""


def translate(node: Node, *, loose: bool = False) -> bytes:
    """The expression for hyperscan, to be compiled with CASELESS and DOTALL alone.

    Args:
        node: the tree of an expression.
        loose: let counted gaps be of any length.

    Raises:
        TooLoose: only RE2 can scan it.
    """
    if _size(node, loose) > MAX_SIZE:
        raise TooLoose("it has too many places")
    return _emit(node, loose)


def literal(text: str) -> bytes:
    """The expression for plain text in which each run of white space is one space."""
    return b"".join(_char(char) for char in text)


def _emit(node: Node, loose: bool) -> bytes:
    match node:
        case Char(char):
            return _char(char)
        case Class() | Anything():
            single = _single(node)
            return single if single is not None else _wide(node) + b"{1,4}"
        case Edge(kind):
            return {"border": rb"\b", "start": b"^"}.get(kind, b"")
        case Sequence(nodes):
            return b"".join(_emit(part, loose) for part in nodes)
        case Either(nodes):
            return b"(?:" + b"|".join(_emit(part, loose) for part in nodes) + b")"
        case Repeat(inner, least, most):
            if isinstance(inner, Class | Anything) and _single(inner) is None:
                return _wide(inner) + _times(least, None if loose or most is None else 4 * most)
            return b"(?:" + _emit(inner, loose) + b")" + _times(least, None if loose and (most or 0) > 1 else most)


def _times(least: int, most: int | None) -> bytes:
    return b"{%d,}" % least if most is None else b"{%d,%d}" % (least, most)


def _size(node: Node, loose: bool) -> int:
    match node:
        case Sequence(nodes) | Either(nodes):
            return sum(_size(part, loose) for part in nodes)
        case Repeat(inner, least, most):
            times = max(1, least) if loose or most is None else max(1, most)
            # a counted run of one class is cheap: a counter, no copies
            return times // 4 + 1 if isinstance(inner, Class | Anything | Char) else times * _size(inner, loose)
        case _:
            return 1


def _char(char: str) -> bytes:
    if char.isascii():
        return _byte(char.lower().encode())
    return _one_of(frozenset(cases(char)))


def _single(node: Class | Anything) -> bytes | None:
    """One character of the class; None where it holds whole scripts."""
    if isinstance(node, Anything):
        return None
    ascii_, beyond = members(node.source, node.fold)
    return None if beyond is None else _one_of(ascii_ | beyond)


def _wide(node: Class | Anything) -> bytes:
    ascii_ = frozenset(map(chr, range(128))) if isinstance(node, Anything) else members(node.source, node.fold)[0]
    return b"[" + b"".join(_byte(char.encode()) for char in sorted(ascii_)) + _BEYOND + b"]" if ascii_ < ALL else b"."


ALL = frozenset(map(chr, range(128)))


def _one_of(chars: frozenset[str]) -> bytes:
    """One of the characters as they stand in lower case."""
    written = sorted(
        {char.lower().encode() for char in chars if char not in STRAY and not "\ud800" <= char <= "\udfff"}
    )
    if not written:
        raise TooLoose("nothing is left of a class")
    if len(written) == 1:
        return b"".join(_byte(bytes([byte])) for byte in written[0])
    ways = []
    for head, group in groupby(written, key=lambda data: data[:-1]):
        last = [data[-1:] for data in group]
        tail = _byte(last[0]) if len(last) == 1 else b"[" + b"".join(map(_byte, last)) + b"]"
        ways.append(b"".join(_byte(bytes([byte])) for byte in head) + tail)
    return ways[0] if len(ways) == 1 else b"(?:" + b"|".join(ways) + b")"


def _byte(byte: bytes) -> bytes:
    return byte if byte.isalnum() else rb"\x%02x" % byte[0]
