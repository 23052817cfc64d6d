"""Write the files of a run anew from its rows."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import click

from server.cli._outputs import chosen, output_options


@click.command("export", short_help="write a run's training files anew from its rows")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@output_options
def command(folder: Path, formats: tuple[str, ...], **given: Any) -> None:
    """Write the training files, the card and the report of FOLDER anew from its rows.

    Also while a run is at work or after it was stopped: the files then hold what is finished so far. What is not said
    is as the run, or the last export, was told.
    """
    from constitution.export import export
    from constitution.rows import open_rows
    from server.cli._summary import counted, unfit

    with closing(open_rows(folder)) as store:
        done = export(folder, store, names=formats, given=chosen(given))
    for item in done.files:
        click.echo(f"{item.path}: {counted(item.lines, 'line')}" + (f", {unfit(item.unfit)}" if item.unfit else ""))
    click.echo(f"{done.card}\n{done.report}")
