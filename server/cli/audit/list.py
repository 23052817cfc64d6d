"""`wardlaw audit list`: decisions in a table, newest first."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from server.cli._sections import Sectioned
from server.cli.audit import _options

if TYPE_CHECKING:
    from server.audit.query import Found

_COLUMNS = ("time", "decision", "action", "rules", "api", "model", "key", "status", "ms", "")
_FLIPPED = (*_COLUMNS[:4], "candidate", *_COLUMNS[4:])
_WIDTH = 170


@click.command("list", cls=Sectioned, sections=_options.SECTIONS, short_help="list decisions, newest first")
@_options.where_options
@_options.filter_options
@click.option("-n", "--limit", type=click.IntRange(min=1), default=50, show_default=True, help="How many at most.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def command(database: str, folder: Path, limit: int, as_json: bool, **given: Any) -> None:
    """List decisions, newest first. Rules in brackets were only recorded. In the last column: what was not usual.

    With --flips, the texts that a candidate judges otherwise stand below, where they were kept.
    """
    from server.audit.query import Decisions

    filters = _options.filters(given)
    with _options.opened(database, folder) as opened:
        found = Decisions(opened).find(filters, limit)
    if as_json:
        _print_json(found)
    elif found:
        _print_table(found, flips=filters.flips is not None)
        if filters.flips is not None:
            _print_texts(found)
    else:
        click.echo("no decision is like that", err=True)


def _print_json(found: list[Found]) -> None:
    import orjson

    from server.audit.query import as_json

    for each in found:
        click.echo(orjson.dumps(as_json(each)).decode())


def _print_table(found: list[Found], *, flips: bool) -> None:
    from datetime import datetime

    from rich.console import Console
    from rich.table import Table

    from server.cli._printable import printable

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in _FLIPPED if flips else _COLUMNS:
        table.add_column(name, justify="right" if name in ("status", "ms") else "left", no_wrap=name in _NARROW)
    for each in found:
        action = each.action if each.action == each.would else f"{each.action} (would {each.would})"
        table.add_row(
            datetime.fromtimestamp(each.at).isoformat(" ", "seconds"),
            printable(each.id),
            action,
            ", ".join(_rules(each)),
            *([_candidate(each)] if flips else []),
            each.api,
            printable(each.model),
            each.key,
            str(each.status),
            f"{1000 * each.seconds:.0f}",
            ", ".join(_unusual(each)),
        )
    width = None if sys.stdout.isatty() else _WIDTH
    Console(highlight=False, markup=False, emoji=False, width=width).print(table)


def _print_texts(found: list[Found]) -> None:
    from server.cli._printable import printable
    from server.cli.audit import _texts

    texts = {each.id: _texts.flipped(each) for each in found}
    if any(texts.values()):
        click.echo(f"\n{click.style('texts judged otherwise', bold=True)}")
    for name, kept in texts.items():
        for line in _texts.lines(kept):
            click.echo(f"{printable(name)}  {line}")
    if hint := _texts.hint(texts.values()):
        click.echo(hint, err=True)


_NARROW = frozenset({"time", "decision", "action", "api", "key", "status", "ms"})


def _rules(found: Found) -> list[str]:
    """Those that led to the action, then those that were found and only recorded."""
    recorded = dict.fromkeys(each["rule"] for each in found.findings if each["rule"] not in found.rules)
    return [*found.rules, *(f"({rule})" for rule in recorded)]


def _candidate(found: Found) -> str:
    """What the candidate says, where it was not the one that acted; else what the rules in force say."""
    beside = found.shadow
    if beside is None:
        return ""
    acted = beside["enforced"] == "candidate"
    other = beside["base" if acted else "candidate"]
    rules = ", ".join(other["rules"])
    who = "in force: " if acted else ""
    return f"{who}{other['action']}{f' ({rules})' if rules else ''}, {beside['flip']}"


def _unusual(found: Found) -> list[str]:
    signs = {
        found.state: found.state != "complete",
        "degraded": found.degraded,
        "unscannable": bool(found.unscannable),
        "shadow": found.mode == "shadow",
        "flip": bool(found.shadow and found.shadow["flip"]),
        "by the candidate": bool(found.shadow and found.shadow["enforced"] == "candidate"),
        found.fault: bool(found.fault),
    }
    return [name for name, holds in signs.items() if holds]
