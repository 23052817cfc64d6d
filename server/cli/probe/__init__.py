"""`wardlaw probe`: prompts that test a rule, and trials of a live model. A file of this folder is a command."""

from __future__ import annotations

import click

from server.cli._folder import Folder


@click.group("probe", cls=Folder, package="server.cli.probe", short_help="make probes of rules, and try a model")
def command() -> None:
    """Make prompts that test rules, and let a model try to make another one break them."""
