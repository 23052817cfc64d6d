"""The report of a ledger as one HTML file, with nothing to load and no script."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from guard.ledger.events import STATUSES
from server.cli._printable import printable
from server.cli.redteam._report_told import headlines, tables

if TYPE_CHECKING:
    from guard.ledger.summary import Summary
    from guard.training.metrics import Interval

_TEMPLATE = Path(__file__).with_name("_report.html.jinja")
_COLOURS = {"open": "rejected", "fixed": "changed", "accepted": "kept"}
"""Of a status: the class of the page of a run's report, whose style this one shares."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 56.0, 624.0, 20.0, 200.0
"""Where shares are drawn, in the units of the picture."""
_ASIDE = 4.0
"""How far the two lines stand apart, so that their ranges are both seen."""


def as_html(summary: Summary, limit: int) -> str:
    """The page.

    Args:
        summary: what is told.
        limit: lines a table at most.
    """
    import jinja2
    from markupsafe import Markup

    from constitution import report

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATE.parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    css = (Path(report.__file__).parent / "page.css").read_text(encoding="utf-8")
    return environment.get_template(_TEMPLATE.name).render(
        css=Markup(css),  # noqa: S704  # a file of ours
        summary=summary,
        statuses=STATUSES,
        colour=_COLOURS,
        headlines=list(headlines(summary)),
        tables=list(tables(summary, limit)),
        lines=_lines(summary, limit),
        limit=limit,
    )


def _lines(summary: Summary, limit: int) -> list[dict[str, Any]]:
    """The shares of the last replays, as places in the picture; none of a single replay, which the table tells."""
    runs = summary.runs[-limit:]
    if len(runs) < 2:
        return []
    step = (_RIGHT - _LEFT) / (len(runs) - 1)
    kinds = (("safe", -_ASIDE, [run.breaks_found for run in runs]), ("out", _ASIDE, [run.alarms_gone for run in runs]))
    return [
        {"colour": colour, "dots": [_dot(_LEFT + aside + at * step, each) for at, each in enumerate(shares) if each]}
        for colour, aside, shares in kinds
    ]


def _dot(x: float, share: Interval) -> dict[str, float]:
    return {"x": x, "y": _height(share.value), "low": _height(share.low), "high": _height(share.high)}


def _height(share: float) -> float:
    return _BOTTOM - share * (_BOTTOM - _TOP)
