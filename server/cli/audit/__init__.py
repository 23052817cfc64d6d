"""`wardlaw audit`: the decisions that were kept. A file of this folder is a command."""

from __future__ import annotations

import click

from server.cli._folder import Folder


@click.group("audit", cls=Folder, package="server.cli.audit", short_help="list, show, export and delete decisions")
def command() -> None:
    """List, show, export and delete the decisions that the server kept, and what was said of them."""
