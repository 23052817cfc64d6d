"""`wardlaw keys add`: make a key."""

from __future__ import annotations

import time
from pathlib import Path

import click

from server.cli._sections import Sectioned
from server.cli.audit._options import span, where_options
from server.cli.keys import _options

_SECTIONS = {
    "What it may do": ("constitution", "scopes", "per_minute", "concurrent", "expires"),
    "Where": ("config", "database", "database_file", "folder"),
}


@click.command("add", cls=Sectioned, sections=_SECTIONS, short_help="make a key, and show it this once")
@click.argument("name")
@click.option(
    "--constitution", default="default", show_default=True, metavar="NAME", help="What its requests are judged by."
)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    metavar="NAME",
    help="chat, moderate, embed, read, feedback, audit or admin; may be given several times."
    "  [default: chat, moderate, embed, read, feedback]",
)
@click.option("--per-minute", type=click.IntRange(min=1), help="Requests a minute at most.  [default: no limit]")
@click.option("--concurrent", type=click.IntRange(min=1), help="Requests in hand at most.  [default: no limit]")
@click.option("--expires", metavar="SPAN", help="After which it opens nothing: `90d`, `12h`.  [default: never]")
@where_options
def command(
    name: str,
    constitution: str,
    scopes: tuple[str, ...],
    per_minute: int | None,
    concurrent: int | None,
    expires: str | None,
    database: str,
    folder: Path,
) -> None:
    """Make a key for the client NAME.

    The key is printed, alone on standard output, and never again: the database holds only its hash.
    """
    from server.keys.key import USUAL

    until = None if expires is None else time.time() + span(expires, "--expires")
    with _options.opened(database, folder, make=True) as store:
        key, secret = store.add(
            name,
            constitution=constitution,
            scopes=scopes or USUAL,
            requests_per_minute=per_minute,
            concurrent=concurrent,
            expires=until,
        )
    click.echo(f"key {key.id} for {key.name}; it is not shown again:", err=True)
    click.echo(secret)
