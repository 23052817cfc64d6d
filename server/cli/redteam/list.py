"""`wardlaw redteam list`: finds in a table."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from server.cli.redteam import _options

if TYPE_CHECKING:
    from guard.ledger.state import Entry

_WIDTH = 170
_MOST = 24
"""Characters of a line of any column but the text's."""
_COLUMNS = ("found", "find", "status", "kind", "severity", "rules", "by", "text")


@click.command("list", short_help="list finds, newest first")
@_options.filter_options
@_options.ledger_option
@click.option("-n", "--limit", type=click.IntRange(min=1), default=50, show_default=True, help="How many at most.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line, with texts and history.")
def command(ledger: Path, limit: int, as_json: bool, **given: Any) -> None:
    """List finds, newest first."""
    _, _, found = _options.meant(ledger, given)
    found = sorted(found, key=lambda entry: entry.find.found, reverse=True)[:limit]
    if as_json:
        from server.cli.gate._projection import dump

        for entry in found:
            click.echo(dump(as_dict(entry)))
        return
    _table(found)


def as_dict(entry: Entry) -> dict[str, Any]:
    """A find and what became of it."""
    return {
        **entry.find.model_dump(mode="json"),
        "entered": entry.at.isoformat(),
        "status": entry.status,
        "severity": str(entry.severity),
        "rules": list(entry.rules),
        "why": entry.why,
        "notes": entry.notes,
        "found_again": [{"found": find.found.isoformat(), "by": find.by} for find in entry.again],
        "changes": [
            {"at": change.at.isoformat(), "status": change.status, "by": change.by, "why": change.why}
            for change in entry.changes
        ],
    }


def _table(found: list[Entry]) -> None:
    from rich.console import Console
    from rich.table import Table

    from server.cli._printable import printable

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    rows = []
    for entry in found:
        find = entry.find
        told = (find.kind, str(entry.severity), ", ".join(entry.rules), find.by, " ".join(find.text.split())[:200])
        day = find.found.astimezone().strftime("%Y-%m-%d")
        rows.append((day, find.id, entry.status, *(printable(each) for each in told)))
    console = Console(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else _WIDTH)
    left = console.width
    for place, name in enumerate(_COLUMNS[:-1]):
        room = min(_MOST, max(len(name), *(len(row[place]) for row in rows)))
        table.add_column(name, width=room, overflow="fold")
        left -= room + 2
    # What is left, and no more: else the texts would take the room of all the others, and no id could be copied.
    table.add_column(_COLUMNS[-1], width=max(20, left), no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*row)
    console.print(table)
