"""All about one rule, as a page for the terminal: what docs/rules/ says of it, wrapped."""

from __future__ import annotations

from collections.abc import Iterator

import click

from rules.schema import Rule
from server.cli._printable import printable
from server.cli.rules._layout import WIDTH, wrapped
from server.pages.blocks import Code, Items, Line, Page, Prose, literal
from server.pages.rule import rule_page as document


def rule_page(rule: Rule, where: str, digest: str, language: str, pack: str | None = None) -> str:
    """The page: what the rule says, how the gate sees it, what it does, its examples, and how to allow it.

    Args:
        pack: the shipped pack that defines the rule; None for a rule of somebody's own.
    """
    facts = (literal(f"digest {digest}"), literal(where))
    return "\n".join(_lines(document(rule, language, facts, pack)))


def _lines(page: Page) -> Iterator[str]:
    yield click.style(printable(f"{page.name}  {page.title}"), bold=True)
    yield click.style(printable(" · ".join(_said(fact) for fact in page.facts)), dim=True)
    for section in page.sections:
        yield ""
        yield click.style(section.heading, fg="cyan")
        for index, block in enumerate(section.blocks):
            if isinstance(block, Code) or (index and isinstance(section.blocks[index - 1], Code)):
                yield ""
            yield from _block(block)


def _block(block: Prose | Items | Code) -> Iterator[str]:
    if isinstance(block, Code):  # as it is, so that it can be copied
        yield from (f"    {line}".rstrip() for line in printable(block.text).rstrip().split("\n"))
        return
    bullet = "- " if isinstance(block, Items) else ""
    for line in block.lines if isinstance(block, Items) else (block.line,):
        for index, text in enumerate(wrapped(printable(_said(line)), WIDTH - 2 - len(bullet))):
            yield "  " + (bullet if index == 0 else " " * len(bullet)) + text


def _said(line: Line) -> str:
    return "".join(span.text for span in line)
