"""report.html: one file that shows what a run did, with nothing to load and no script."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from constitution.formats.files import write_text
from constitution.report.samples import Samples, choose, picture
from constitution.row import Row
from constitution.statistics import RunStatistics

__all__ = ["render_report", "write_report"]

_HERE = Path(__file__).parent


def write_report(
    folder: Path,
    rows: Callable[[], Iterable[Row]],
    statistics: RunStatistics,
    *,
    titles: Mapping[str, str] | None = None,
    title: str = "What the run made",
) -> Path:
    """Write report.html into `folder`.

    Args:
        folder: where it goes; made if it is not there.
        rows: gives the rows anew; one pass, to choose the samples.
        statistics: the figures of the same rows.
        titles: rule id -> its title, where the rules are at hand.
        title: headline of the page.

    Raises:
        FormatError: the file cannot be written.
    """
    page = render_report(choose(rows()), statistics, titles=titles, title=title)
    return write_text(folder / "report.html", page)


def render_report(
    samples: Samples, statistics: RunStatistics, *, titles: Mapping[str, str] | None = None, title: str
) -> str:
    """The page; arguments as `write_report`."""
    import jinja2

    from constitution.report import pictures

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    )
    environment.filters |= {"n": _number, "share": _share, "short": _short, "moment": _moment}
    drawn = {"scores": pictures.scores_by_round(statistics), "lengths": pictures.lengths(statistics)}
    return environment.get_template("page.html.jinja").render(
        title=title,
        s=statistics,
        # Both are made here and hold nothing of the rows but numbers, so they alone go in unescaped.
        css=_safe((_HERE / "page.css").read_text(encoding="utf-8")),
        drawn={name: _safe(svg) for name, svg in drawn.items()},
        titles=titles or {},
        most=max((count.accepted + count.rejected for count in statistics.rules.values()), default=1),
        outcomes=_outcomes(statistics),
        reasons=_reasons(statistics),
        spending=_spending(statistics),
        samples={
            "changed": [picture(row) for row in samples.changed],
            "unchanged": [picture(row) for row in samples.unchanged],
            "rejected": [picture(row) for row in samples.rejected],
        },
    )


def _safe(markup: str | None) -> Any:
    from markupsafe import Markup

    return None if markup is None else Markup(markup)  # noqa: S704  # see the caller


def _outcomes(statistics: RunStatistics) -> list[dict[str, Any]]:
    kept = statistics.accepted - statistics.changed
    every = [
        ("changed", "revised by a rule", statistics.changed),
        ("kept", "accepted as first answered", kept),
        ("rejected", "rejected", statistics.rejected),
    ]
    return [{"kind": kind, "name": name, "rows": rows} for kind, name, rows in every if rows]


def _reasons(statistics: RunStatistics) -> list[dict[str, Any]]:
    every = [
        {"stage": stage, "reason": reason, "rows": rows}
        for stage, reasons in statistics.rejections.items()
        for reason, rows in reasons.items()
    ]
    return sorted(every, key=lambda item: (-int(item["rows"]), str(item["reason"])))


def _spending(statistics: RunStatistics) -> list[dict[str, Any]]:
    every = [
        {"role": role, "stage": stage, "spent": spent, "tokens": spent.prompt + spent.completion}
        for role, stages in statistics.spent.items()
        for stage, spent in stages.items()
    ]
    return sorted(every, key=lambda item: -int(item["tokens"]))


def _number(value: float) -> str:
    return f"{value:,.0f}"


def _share(part: float, whole: float) -> str:
    """A share in percent, for reading and as a CSS width."""
    return f"{100 * part / whole:.1f}%" if whole else "0%"


def _short(value: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.1f}{letter}"
    return f"{value:.0f}"


def _moment(when: float | None) -> str:
    return datetime.datetime.fromtimestamp(when, datetime.UTC).strftime("%d %B %Y") if when is not None else ""
