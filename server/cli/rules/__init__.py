"""`wardlaw rules`: the whole life of a rule, from a draft to what is in force. A file of this folder is a command."""

from __future__ import annotations

import click

from server.cli._folder import Folder


@click.group("rules", cls=Folder, package="server.cli.rules", short_help="check, test, compare and show rules")
def command() -> None:
    """Check, test, compare, show and promote rules."""
