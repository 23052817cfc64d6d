"""README.md and report.html of an evaluation: the same figures for people, with nothing to load and no script."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from constitution.evaluating.criterion import Item
from constitution.evaluating.pages.figures import change, number, range_of, reliabilities, span, spanned, told
from constitution.evaluating.report import Report
from constitution.formats.files import write_text
from constitution.markdown import rendered

_HERE = Path(__file__).parent
_CSS = Path(__file__).parents[2] / "report" / "page.css"

SHOWN = 12
"""Items of a criterion that the page shows: faults first."""
_LONGEST = 4_000
"""Characters of a text that the page shows."""


def write_pages(folder: Path, report: Report, items: Mapping[str, Sequence[Item]]) -> tuple[Path, ...]:
    """Write README.md and report.html.

    Raises:
        FormatError: a file cannot be written.
    """
    return (
        write_text(folder / "README.md", markdown(report)),
        write_text(folder / "report.html", page(report, items)),
    )


def markdown(report: Report) -> str:
    """The page in Markdown."""
    filters: dict[str, Callable[..., Any]] = {
        "number": number,
        "span": span,
        "told": told,
        "spanned": spanned,
        "change": change,
        "reliabilities": reliabilities,
        "moment": _moment,
    }
    return rendered(_HERE / "page.md.jinja", filters, report=report)


def page(report: Report, items: Mapping[str, Sequence[Item]]) -> str:
    """The page in HTML: the table, each criterion with its figures, and what was asked and answered."""
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    )
    environment.filters |= {
        "number": number,
        "span": span,
        "told": told,
        "spanned": spanned,
        "change": change,
        "reliabilities": reliabilities,
        "range": range_of,
        "moment": _moment,
        "coded": _coded,
        "cut": _cut,
    }
    css = _CSS.read_text(encoding="utf-8") + (_HERE / "page.css").read_text(encoding="utf-8")
    return environment.get_template("page.html.jinja").render(
        report=report,
        shown={name: _shown(every) for name, every in items.items()},
        css=Markup(css),  # noqa: S704  # our own file, and it holds nothing of what models wrote
    )


def _shown(items: Sequence[Item]) -> list[Item]:
    """Faults first, else in their order; spread over the whole, not the first of it."""
    bad, fine = [item for item in items if item.bad], [item for item in items if not item.bad]
    return [*_spread(bad, SHOWN), *_spread(fine, SHOWN - min(len(bad), SHOWN - 2))]


def _spread(items: Sequence[Item], count: int) -> list[Item]:
    if len(items) <= count:
        return list(items)
    return [items[place * len(items) // count] for place in range(count)]


def _cut(text: str | None) -> str:
    return "" if text is None else text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"


def _coded(text: str) -> Any:
    """A text of ours with `code` marked up; all else is escaped."""
    from markupsafe import Markup, escape

    pieces = text.split("`")
    marked = [
        Markup("<code>{}</code>").format(piece) if place % 2 else escape(piece) for place, piece in enumerate(pieces)
    ]
    return Markup("").join(marked)


def _moment(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
