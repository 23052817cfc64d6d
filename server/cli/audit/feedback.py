"""`wardlaw audit feedback`: what was said of decisions, and label rows of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from server.cli.audit import _options

if TYPE_CHECKING:
    from server.audit.database import Database
    from server.audit.feedback import Feedback

_WIDTH = 170


@click.command("feedback", short_help="list what was said of decisions, or export label rows")
@_options.where_options
@click.option("--since", metavar="TIME", help="From then on: `2h`, `7d`, or as `2026-05-01T12:00`, local time.")
@click.option("--until", metavar="TIME", help="Before then.")
@click.option("--export", "file", type=click.Path(path_type=Path, dir_okay=False), help="Write label rows there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def command(
    database: str, folder: Path, since: str | None, until: str | None, file: Path | None, as_json: bool
) -> None:
    """List what was said of decisions. With --export: label rows, as `wardlaw gate train --data` reads them.

    A row needs the texts, so only decisions kept with `audit.content: full` become rows, or with `redacted` where
    nothing was masked; how many do not, and why, is said.
    """
    from server.audit.feedback import FeedbackStore

    after = None if since is None else _options.moment(since, "--since")
    before = None if until is None else _options.moment(until, "--until")
    with _options.opened(database, folder) as opened:
        if file is not None:
            _export(opened, file, after, before)
            return
        said = list(FeedbackStore(opened).all(after, before))
    if as_json:
        import orjson

        for each in said:
            click.echo(orjson.dumps(each).decode())
    elif said:
        _table(said)
    else:
        click.echo("nothing was said", err=True)


def _export(database: Database, file: Path, since: float | None, until: float | None) -> None:
    from server.audit.export import write_lines
    from server.audit.feedback import FeedbackStore, Labels
    from server.audit.query import Decisions

    labels = Labels(Decisions(database))
    count = write_lines(file, labels.rows(FeedbackStore(database).all(since, until)))
    click.echo(f"{file}: {count:,} row{'' if count == 1 else 's'}")
    for why, number in labels.unfit.most_common():
        click.echo(f"{number:,} left out: {why}")


def _table(said: list[Feedback]) -> None:
    from datetime import datetime

    from rich.console import Console
    from rich.table import Table

    from server.cli._printable import printable

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("time", "decision", "label", "part", "rule", "key", "reviewer", "comment"):
        table.add_column(name, no_wrap=name in ("time", "decision", "label"))
    for each in said:
        when = datetime.fromtimestamp(each.at).isoformat(" ", "seconds")
        given = (each.decision, each.label, each.part, each.rule, each.key, each.reviewer, each.comment)
        table.add_row(when, *(printable(value or "") for value in given))
    width = None if sys.stdout.isatty() else _WIDTH
    Console(highlight=False, markup=False, emoji=False, width=width).print(table)
