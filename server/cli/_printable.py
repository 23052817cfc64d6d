"""Strangers' texts on a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """`text` with what is not printable spelled out: an escape sequence in it must not reach the terminal."""
    return "".join(char if char.isprintable() or char in "\n\t" else ascii(char)[1:-1] for char in text)
