"""Write the files of a run anew from its rows."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click


@click.command("export", short_help="write a run's training files anew from its rows")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("-f", "--format", "formats", multiple=True, help="What to write; everything by default.")
@click.option("--parquet", is_flag=True, help="Write Parquet instead of JSON lines.")
@click.option(
    "--reasoning",
    type=click.Choice(["reasoning_content", "thinking", "think", "none"]),
    default="reasoning_content",
    show_default=True,
    help="Where the rationale stands in the files.",
)
@click.option("--preference-reasoning", is_flag=True, help="Carry the rationale in `preference` and `kto` too.")
@click.option(
    "--sft",
    type=click.Choice(["completion", "messages"]),
    default="completion",
    show_default=True,
    help="`prompt` and `completion`, or one list of messages.",
)
@click.option("--licence", default="other", show_default=True, help="Licence of the data, for its card.")
def command(
    folder: Path,
    formats: tuple[str, ...],
    parquet: bool,
    reasoning: str,
    preference_reasoning: bool,
    sft: str,
    licence: str,
) -> None:
    """Write the training files, the card and the report of FOLDER anew from its rows.

    Also while a run is at work or after it was stopped: the files then hold what is finished so far.
    """
    from constitution.export import export
    from constitution.formats import Options
    from constitution.store import RowStore

    options = Options.model_validate({"reasoning": reasoning, "preference_reasoning": preference_reasoning, "sft": sft})
    with closing(RowStore(folder, read_only=True)) as store:
        done = export(folder, store, names=formats, parquet=parquet, options=options, licence=licence)
    for item in done.files:
        click.echo(f"{item.path}: {item.lines} lines" + (f", {item.unfit} rows do not fit" if item.unfit else ""))
    click.echo(f"{done.card}\n{done.report}")
