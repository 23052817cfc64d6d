"""`wardlaw gate`: judge texts, measure the gate, set its thresholds. A file of this folder is a command."""

from __future__ import annotations

import click

from server.cli._folder import Folder


@click.group("gate", cls=Folder, package="server.cli.gate", short_help="judge texts, measure and calibrate the gate")
def command() -> None:
    """Judge texts by the rules; measure, calibrate and teach the gate."""
