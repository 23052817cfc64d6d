"""Strangers' texts on a terminal."""

from __future__ import annotations

SHORT = 160
"""Characters of a text that is only to be recognized."""


def printable(text: str) -> str:
    """`text` with what is not printable spelled out: an escape sequence in it must not reach the terminal."""
    return "".join(char if char.isprintable() or char in "\n\t" else ascii(char)[1:-1] for char in text)


def shortened(text: str) -> str:
    """The beginning of `text` in one printable line."""
    text = " ".join(text[: 10 * SHORT].split())
    return printable(text if len(text) <= SHORT else text[: SHORT - 3] + "...")
