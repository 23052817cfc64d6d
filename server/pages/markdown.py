"""A page as Markdown, with every text of a rule shown as it stands."""

from __future__ import annotations

import re
from collections.abc import Iterator

from server.cli._printable import printable
from server.pages.blocks import Code, Items, Line, Page, Prose, Section, Span

_MARKUP = re.compile(r"[\\`*_\[\]<>~$|]|&(?=#?\w+;)|(?<=[a-zA-Z])://|(?<=www)\.|(?<=\w)@(?=\w)")
_OPENING = re.compile(r"^(?:([-+#=])|(\d+)([.)]))")


def markdown(page: Page) -> str:
    """The whole page."""
    return "\n".join(_page(page))


def _page(page: Page) -> Iterator[str]:
    yield f"# {escaped(page.title)}\n"
    yield " · ".join(_line(fact) for fact in page.facts) + "\n"
    for section in page.sections:
        yield from sections(section, "##")


def sections(section: Section, level: str) -> Iterator[str]:
    """A section with a heading of a level, as `##`."""
    yield f"{level} {escaped(section.heading)}\n"
    for block in section.blocks:
        yield _block(block) + "\n"


def _block(block: Prose | Items | Code) -> str:
    if isinstance(block, Code):
        fence = _fence(block.text, 3)
        return f"{fence}{block.language}\n{printable(block.text).rstrip()}\n{fence}"
    if isinstance(block, Items):
        return "\n".join(f"- {_line(line)}" for line in block.lines)
    return _line(block.line)


def _line(line: Line) -> str:
    return "".join(_span(span) for span in line).strip()


def _span(span: Span) -> str:
    said = _code(span.text) if span.code else escaped(span.text)
    return f"[{said}]({span.link})" if span.link else said


def _code(text: str) -> str:
    text = printable(text).replace("\n", " ")
    fence = _fence(text, 1)
    pad = " " if text.startswith(("`", " ")) or text.endswith(("`", " ")) else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _fence(text: str, least: int) -> str:
    return "`" * max(least, 1 + max((len(run) for run in re.findall("`+", text)), default=0))


def escaped(text: str) -> str:
    """A text of which a Markdown reader shows every character, and makes no link; lines are kept as lines."""
    return "<br>".join(_escaped_line(line) for line in printable(text).rstrip("\n").split("\n"))


def _escaped_line(line: str) -> str:
    # an address in an example must not become something to click on
    safe = _MARKUP.sub(lambda found: _harmless(found[0]), line)
    return _OPENING.sub(lambda found: f"\\{found[1]}" if found[1] else f"{found[2]}\\{found[3]}", safe)


def _harmless(found: str) -> str:
    if found == "://":
        return "&#58;//"
    return {"@": "&#64;", ".": "&#46;", "&": "&amp;", "<": "&lt;", ">": "&gt;"}.get(found, f"\\{found}")
