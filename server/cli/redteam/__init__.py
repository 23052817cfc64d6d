"""`wardlaw redteam`: the ledger of what red teaming found. A file of this folder is a command."""

from __future__ import annotations

import click

from server.cli._folder import Folder


@click.group("redteam", cls=Folder, package="server.cli.redteam", short_help="keep, replay and report red-team finds")
def command() -> None:
    """Keep what red teaming finds in a ledger, replay it through any gate or model, and report what came of it."""
