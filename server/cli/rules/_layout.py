"""How pages about rules are laid out for the terminal: sections of wrapped text, at most 96 columns wide."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence

import click

from server.cli._printable import printable

WIDTH = 96


def section(heading: str, texts: Sequence[str], bullet: str = "") -> Iterator[str]:
    """A heading with texts under it, each wrapped; nothing where there are no texts."""
    if not texts:
        return
    yield ""
    yield click.style(heading, fg="cyan")
    for text in texts:
        for index, line in enumerate(wrapped(printable(text), WIDTH - 2 - len(bullet))):
            yield "  " + (bullet if index == 0 else " " * len(bullet)) + line


def wrapped(text: str, width: int) -> Iterator[str]:
    """Lines of at most `width` columns. A Chinese character takes two, and lines may break between any two."""
    for paragraph in text.splitlines() or [""]:
        line, used = "", 0
        for piece in _pieces(paragraph):
            taken = sum(columns(char) for char in piece)
            if used + taken > width and line.strip():
                yield line.rstrip()
                line, used = "", 0
                piece = piece.lstrip()
                taken = sum(columns(char) for char in piece)
            line, used = line + piece, used + taken
        yield line.rstrip()


def _pieces(text: str) -> Iterator[str]:
    """Words with the space before them, and single wide characters."""
    word = ""
    for char in text:
        if char == " " or columns(char) == 2:
            yield word
            word = ""
        word += char
        if columns(char) == 2:
            yield word
            word = ""
    yield word


def columns(char: str) -> int:
    """Columns of a terminal that a character takes."""
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
