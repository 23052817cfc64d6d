"""`wardlaw audit prune`: delete what is old."""

from __future__ import annotations

import time
from pathlib import Path

import click

from server.cli.audit import _options


@click.command("prune", short_help="delete old decisions")
@_options.where_options
@click.option("--older-than", required=True, metavar="SPAN", help="Age from which on they go: `30d`, `12h`, `8w`.")
def command(database: str, folder: Path, older_than: str) -> None:
    """Delete old decisions, with what was said of them. In small steps: a server that writes meanwhile waits little."""
    from server.audit.retention import STEP, prune_some

    before = time.time() - _options.span(older_than, "--older-than")
    deleted = 0
    with _options.opened(database, folder) as opened:
        while True:
            step = prune_some(opened, before)
            deleted += step
            if step < STEP:
                break
            time.sleep(0.01)  # lets others write in between
    click.echo(f"{deleted:,} decision{'' if deleted == 1 else 's'} deleted")
