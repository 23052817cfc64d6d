"""What a replay came to, as tables, Markdown and JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from guard.ledger.find import KINDS
from guard.ledger.outcomes import CHANGES, STATES, Change
from server.cli._printable import printable
from server.cli._summary import counted
from server.cli.rules._diff_markdown import code
from server.cli.rules._figures import percent

if TYPE_CHECKING:
    from guard.ledger.outcomes import Column, Replay
    from guard.ledger.state import Entry
    from guard.training.metrics import Interval

_WIDTH = 170
_HEAD = ("against", "finds", "breaks found", "false alarms gone", "unsure", "failed")
_SAID: dict[Change, str] = {
    "regressed": "regressed: fixed in the ledger, and break",
    "open": "still open",
    "fixed": "fixed now: open in the ledger, and hold",
    "accepted": "accepted, and break",
    "unsure": "unsure: it cannot be told",
    "failed": "failed: could not be judged",
    "held": "held as before",
}
_LISTED: tuple[Change, ...] = ("regressed", "open", "fixed", "unsure", "failed")
NOTES = """\
In brackets the range that holds the true share with 95% confidence (Clopper-Pearson), of finds like these: they are no
sample of traffic. Unsure and failed ones count in no share."""
ASKED = (
    "Here a break holds where the model's new answers are not found to break a rule, and a false alarm where it helps."
)


def rows(replay: Replay) -> Iterator[list[str]]:
    """The table's rows: a column of the replay each, parted where a share was held out."""
    for column in replay.columns:
        for side, entries in replay.sides().items():
            counts = column.count(entries)
            name = named(column) + ("" if side == "all" else f", {side}")
            shares = (_of(column, entries, kind) for kind in KINDS)
            yield [name, f"{len(entries):,}", *shares, f"{counts['unsure']:,}", f"{counts['failed']:,}"]


def named(column: Column) -> str:
    """What a column was run against."""
    target = column.target
    asked = {"gate": "", "model": f", answers of {target.model}", "guard": f", guarding {target.model}"}[target.kind]
    return f"{target.name} ({target.constitution[:8]}){asked}"


def _of(column: Column, entries: list[Entry], kind: Any) -> str:
    found = column.rate(entries, kind)
    if found is None:
        return "-"
    counts = column.count(entry for entry in entries if entry.find.kind == kind)
    return f"{counts['holds']:,}/{counts['holds'] + counts['breaks']:,}  {percent(found)}"


def headline(replay: Replay) -> str:
    """What has changed against the ledger, in one line."""
    changes = replay.changes()
    words = {"fixed": "fixed now", "open": "still open", "held": "held as before", "accepted": "accepted and break"}
    told = [f"{len(changes[change]):,} {words.get(change, change)}" for change in CHANGES if changes[change]]
    return f"{counted(len(replay.entries), 'find')} against {replay.today.target.name}: {', '.join(told)}"


def moves(replay: Replay) -> Iterator[str]:
    """What changed from column to column."""
    for place in range(1, len(replay.columns)):
        before, after = replay.columns[place - 1].target.name, replay.columns[place].target.name
        between = replay.between(place)
        yield f"{before} -> {after}: {len(between['fixed']):,} fixed, {len(between['regressed']):,} regressed"


def show(replay: Replay, limit: int) -> None:
    """Print it for a person."""
    from rich.console import Console
    from rich.table import Table

    width = None if sys.stdout.isatty() else _WIDTH
    console = Console(highlight=False, markup=False, emoji=False, width=width)
    console.print(printable(headline(replay)), style="bold")
    for move in moves(replay):
        console.print(printable(move))
    console.print()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for place, name in enumerate(_HEAD):
        table.add_column(name, justify="right" if place else "left", no_wrap=bool(place), overflow="fold")
    for row in rows(replay):
        table.add_row(*map(printable, row))
    console.print(table)
    for change, entries in listed(replay):
        if not entries or not limit:
            continue
        console.print(f"\n{_SAID[change]}", style="cyan")
        for entry in entries[:limit]:
            console.print(f"  {printable(_line(replay, entry))}", soft_wrap=True)
        if len(entries) > limit:
            console.print(f"  and {len(entries) - limit:,} more; all are in --json", style="dim")
    console.print(f"\n{NOTES}" + (f"\n{ASKED}" if replay.today.target.kind != "gate" else ""), style="dim")


def listed(replay: Replay) -> Iterator[tuple[Change, list[Entry]]]:
    """What is listed find by find; as regressed also what an earlier column held."""
    changes = replay.changes()
    regressed = replay.regressed()
    names = {entry.find.id for entry in regressed}
    for change in _LISTED:
        entries = changes[change]
        yield change, regressed if change == "regressed" else [each for each in entries if each.find.id not in names]


def _line(replay: Replay, entry: Entry, most: int = 90) -> str:
    find, outcome = entry.find, replay.today.outcomes[entry.find.id]
    text = " ".join(find.text.split())
    text = text if len(text) <= most else text[: most - 3].rstrip() + "..."
    rules = f" ({', '.join(entry.rules)})" if entry.rules else ""
    why = " ".join(outcome.why.split())[:most]
    said = f" -> {', '.join(outcome.rules)}" if outcome.rules else ""
    return f"{find.id}  {find.kind}, {entry.severity}{rules}: {text}{said}{f' [{why}]' if why else ''}"


def as_markdown(replay: Replay, limit: int) -> str:
    """The same as Markdown; what others wrote stands in it as text and nothing else."""
    lines = [f"**{len(replay.entries):,} red-team finds replayed**", ""]
    changes = replay.changes()
    told = ", ".join(f"{len(changes[change]):,} {change}" for change in CHANGES if changes[change])
    lines += [f"Against {code(replay.today.target.name)} and the ledger: {told}.", ""]
    for move in moves(replay):
        names, _, counts = move.rpartition(": ")
        lines += [f"{code(names)}: {counts}.", ""]
    lines += [f"| {' | '.join(_HEAD)} |", "| --- | ---: | ---: | ---: | ---: | ---: |"]
    lines += [f"| {code(name)} | {' | '.join(rest)} |" for name, *rest in rows(replay)]
    for change, entries in listed(replay):
        if entries and limit:
            lines += ["", f"### {_SAID[change].capitalize()}", ""]
            lines += [f"- {code(_line(replay, entry), 300)}" for entry in entries[:limit]]
            if len(entries) > limit:
                lines.append(f"- and {len(entries) - limit:,} more")
    lines += ["", NOTES.replace("\n", " ")]
    return "\n".join(lines) + "\n"


def as_dict(replay: Replay) -> dict[str, Any]:
    """All of it."""
    changes = replay.changes()
    columns = []
    for column in replay.columns:
        sides = {
            side: {
                "finds": len(entries),
                **{state: column.count(entries)[state] for state in STATES},
                **{kind: interval(column.rate(entries, kind)) for kind in KINDS},
            }
            for side, entries in replay.sides().items()
        }
        columns.append({"target": column.target.model_dump(mode="json"), "rates": sides})
    return {
        "finds": len(replay.entries),
        "columns": columns,
        "changes": {change: [entry.find.id for entry in entries] for change, entries in changes.items()},
        "regressed": [entry.find.id for entry in replay.regressed()],
        "between": [
            {name: [entry.find.id for entry in entries] for name, entries in replay.between(place).items()}
            for place in range(1, len(replay.columns))
        ],
        "outcomes": [
            {
                "find": entry.find.id,
                "kind": entry.find.kind,
                "status": entry.status,
                "rules": list(entry.rules),
                "columns": [
                    {"state": outcome.state, "rules": list(outcome.rules), "why": outcome.why}
                    for outcome in (column.outcomes[entry.find.id] for column in replay.columns)
                ],
            }
            for entry in replay.entries
        ],
    }


def interval(found: Interval | None) -> dict[str, float] | None:
    """A share for JSON."""
    return None if found is None else {"share": found.value, "low": found.low, "high": found.high}
