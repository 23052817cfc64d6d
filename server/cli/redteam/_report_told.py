"""The report of a ledger, as tables, Markdown and JSON."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from guard.ledger.events import STATUSES
from server.cli._printable import printable
from server.cli._summary import counted
from server.cli.redteam._replay_told import interval
from server.cli.rules._diff_markdown import code
from server.cli.rules._figures import percent

if TYPE_CHECKING:
    from guard.ledger.state import Entry
    from guard.ledger.summary import Group, Run, Summary

_WIDTH = 170
_GROUP = ("finds", "breaks", "false alarms", *STATUSES, "fixed of all", "median days to fix")
_RUN = ("when", "against", "breaks found", "false alarms gone", "untold")
_NONE = "-"


@dataclass(frozen=True, slots=True)
class _Table:
    title: str
    head: tuple[str, ...]
    rows: list[list[str]]
    left: int = 1
    """Columns of words, at the left."""
    more: int = 0
    """Rows that are left out."""


def headlines(summary: Summary) -> Iterator[str]:
    """The few figures that matter."""
    whole = summary.whole
    alarms = counted(whole.alarms, "false alarm")
    statuses = ", ".join(f"{whole.statuses[status]:,} {status}" for status in STATUSES)
    yield f"{counted(whole.total, 'find')}: {counted(whole.breaks, 'break')} and {alarms}; {statuses}"
    if summary.fix_days:
        half, most = summary.quantile(0.5), summary.quantile(0.9)
        yield f"time to fix: half within {half:.1f} days, nine in ten within {most:.1f}"
        yield f"came back after a fix: {percent(summary.came_back)} of {counted(len(summary.fix_days), 'fixed find')}"
    if summary.again:
        yield f"found more than once: {summary.again:,}"


def tables(summary: Summary, limit: int) -> Iterator[_Table]:
    """The figures, a table for each of their sides."""
    for name, groups in summary.by.items():
        if groups:
            # months are in order: the last ones are those that count
            shown = groups[-limit:] if name == "month" else groups[:limit]
            rows = [_group(group) for group in shown]
            yield _Table(
                f"by {'who found it' if name == 'by' else name}", (name, *_GROUP), rows, 1, len(groups) - len(shown)
            )
    if summary.runs:
        shown_runs = summary.runs[-limit:]
        rows = [_run(run) for run in shown_runs]
        yield _Table("recorded replays", _RUN, rows, 2, len(summary.runs) - len(shown_runs))
    if summary.oldest:
        rows = [_open(entry, summary) for entry in summary.oldest]
        yield _Table("longest open", ("find", "severity", "days", "rules"), rows, 2)


def _group(group: Group) -> list[str]:
    days = _NONE if group.days is None else f"{group.days:.1f}"
    counts = [f"{number:,}" for number in (group.total, group.breaks, group.alarms, *group.statuses.values())]
    return [group.name, *counts, percent(group.fixed), days]


def _run(run: Run) -> list[str]:
    asked = {"gate": "", "model": f", answers of {run.model}", "guard": f", guarding {run.model}"}[run.kind]
    shares = [_NONE if found is None else percent(found) for found in (run.breaks_found, run.alarms_gone)]
    against = f"{run.name} ({run.constitution[:8]}, gate {_short(run.gate)}){asked}"
    return [run.at.astimezone().strftime("%Y-%m-%d %H:%M"), against, *shares, f"{run.untold:,}"]


def _short(identity: str) -> str:
    """Of an identity, which is long, as much as tells two apart."""
    return hashlib.blake2b(identity.encode(), digest_size=4).hexdigest()


def _open(entry: Entry, summary: Summary) -> list[str]:
    days = (summary.at - entry.find.found).total_seconds() / 86_400
    return [entry.find.id, str(entry.severity), f"{max(0.0, days):.1f}", ", ".join(entry.rules)]


def show(summary: Summary, limit: int) -> None:
    """Print it for a person."""
    from rich.console import Console
    from rich.table import Table

    width = None if sys.stdout.isatty() else _WIDTH
    console = Console(highlight=False, markup=False, emoji=False, width=width)
    for place, line in enumerate(headlines(summary)):
        console.print(line, style="" if place else "bold")
    for told in tables(summary, limit):
        console.print(f"\n{told.title}", style="cyan")
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for place, name in enumerate(told.head):
            right = place >= told.left
            table.add_column(name, justify="right" if right else "left", no_wrap=right, overflow="fold")
        for row in told.rows:
            table.add_row(*map(printable, row))
        console.print(table)
        if told.more:
            console.print(f"and {told.more:,} more; all are in --json", style="dim")


def as_markdown(summary: Summary, limit: int) -> str:
    """The same as Markdown; what others wrote stands in it as text and nothing else."""
    lines: list[str] = []
    for place, line in enumerate(headlines(summary)):
        lines += [line if place else f"**{line}**", ""]
    for told in tables(summary, limit):
        marks = ["---"] * told.left + ["---:"] * (len(told.head) - told.left)
        lines += [f"### {told.title.capitalize()}", "", _row(told.head), _row(marks)]
        lines += [_row([*map(code, row[: told.left]), *map(printable, row[told.left :])]) for row in told.rows]
        lines += [f"\nand {told.more:,} more", ""] if told.more else [""]
    return "\n".join(lines).rstrip() + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def as_dict(summary: Summary) -> dict[str, Any]:
    """All of it."""
    return {
        "at": summary.at.isoformat(),
        **_group_dict(summary.whole),
        "by": {name: [_group_dict(group) for group in groups] for name, groups in summary.by.items()},
        "days_to_fix": {f"p{round(100 * part)}": summary.quantile(part) for part in (0.5, 0.9)},
        "came_back": interval(summary.came_back),
        "found_again": summary.again,
        "longest_open": [entry.find.id for entry in summary.oldest],
        "replays": [
            {
                "at": run.at.isoformat(),
                "kind": run.kind,
                "rules": run.name,
                "constitution": run.constitution,
                "gate": run.gate,
                "model": run.model,
                "settles": run.settles,
                "break": interval(run.breaks_found),
                "false-alarm": interval(run.alarms_gone),
                "untold": run.untold,
            }
            for run in summary.runs
        ],
    }


def _group_dict(group: Group) -> dict[str, Any]:
    return {
        "name": group.name,
        "finds": group.total,
        "break": group.breaks,
        "false-alarm": group.alarms,
        "status": group.statuses,
        "fixed": interval(group.fixed),
        "median_days_to_fix": group.days,
    }
