"""`wardlaw keys revoke`: a key opens nothing any more."""

from __future__ import annotations

from pathlib import Path

import click

from server.cli.audit._options import where_options
from server.cli.keys import _options


@click.command("revoke", short_help="let a key open nothing any more")
@click.argument("key", metavar="ID")
@where_options
def command(key: str, database: str, folder: Path) -> None:
    """Revoke the key ID, for good. Its decisions stay."""
    with _options.opened(database, folder) as store:
        revoked = store.revoke(key)
    click.echo(f"key {revoked.id} of {revoked.name} is revoked")
