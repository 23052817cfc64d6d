"""`wardlaw audit export`: decisions into a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from server.cli._sections import Sectioned
from server.cli.audit import _options


@click.command("export", cls=Sectioned, sections=_options.SECTIONS, short_help="write decisions into a file")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@_options.where_options
@_options.filter_options
def command(file: Path, database: str, folder: Path, **given: Any) -> None:
    """Write decisions, oldest first, into FILE: JSON lines, CSV or Parquet by its ending.

    In CSV and Parquet, what has parts (findings, coverage, content) is JSON text.
    """
    from server.audit.export import check_ending, export
    from server.audit.query import Decisions

    check_ending(file)
    filters = _options.filters(given)
    with _options.opened(database, folder) as opened:
        count = export(file, Decisions(opened).all(filters))
    click.echo(f"{file}: {count:,} decision{'' if count == 1 else 's'}")
