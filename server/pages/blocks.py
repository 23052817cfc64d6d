"""What a page is made of, whether it is rendered as Markdown or for a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """A run of text within a line. It is literal: nothing in it is markup."""

    text: str
    code: bool = False
    """Whether it is written letter for letter, as in YAML or on a command line."""
    link: str | None = None
    """Where it leads, from the page; a terminal shows the text alone."""


Line = tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Prose:
    """A paragraph."""

    line: Line


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Code:
    """Text to copy."""

    text: str
    language: str = "yaml"


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, and what stands under it."""

    heading: str
    blocks: tuple[Prose | Items | Code, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """A page about one thing."""

    name: str
    """Its id."""
    title: str
    facts: tuple[Line, ...]
    """A few words on each, for one line under the title."""
    sections: tuple[Section, ...]


def literal(text: str) -> Line:
    """A text of a rule, as it stands."""
    return (Span(text),)


def marked(text: str) -> Line:
    """A line of ours, in which what stands in backticks is code."""
    return tuple(_spans(text))


def _spans(text: str) -> Iterator[Span]:
    for index, piece in enumerate(re.split("`", text)):
        if piece:
            yield Span(piece, code=index % 2 == 1)
