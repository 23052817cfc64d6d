"""`wardlaw keys`: clients' keys. A file of this folder is a command."""

from __future__ import annotations

import click

from server.cli._folder import Folder


@click.group("keys", cls=Folder, package="server.cli.keys", short_help="make, list and revoke clients' keys")
def command() -> None:
    """Make, list and revoke clients' keys. A running server knows of it within seconds."""
