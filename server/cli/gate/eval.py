"""`wardlaw gate eval`: measure the gate on labelled sets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from server.cli._sections import Sectioned
from server.cli.gate import _options

if TYPE_CHECKING:
    from guard.training.sets import CheckSet
    from rules.schema import Constitution

_SECTIONS = {
    "Sets": ("ignore",),
    "Gate": _options.SECTION,
    "Output": ("by", "plots", "json_file", "quiet"),
}


@click.command("eval", cls=Sectioned, sections=_SECTIONS, short_help="measure the gate on labelled sets")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE|FOLDER]...")
@click.option(
    "--ignore-label",
    "ignore",
    multiple=True,
    metavar="LABEL",
    help="Pass over rows with this label; `none` are those without one. May be given several times.",
)
@_options.gate_options
@click.option(
    "--by",
    type=click.Choice(["category", "rule"]),
    multiple=True,
    help="A table a set of its categories, or of the rules found; may be given twice.",
)
@click.option(
    "--plots",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for pictures: ROC, precision and recall, calibration, scores by label.",
)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write all figures to this file."
)
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
def command(
    files: tuple[Path, ...],
    ignore: tuple[str, ...],
    chosen: _options.Chosen,
    by: tuple[str, ...],
    plots: Path | None,
    json_file: Path | None,
    quiet: bool,
) -> None:
    """Measure the gate on labelled FILEs, or on the rules' own tests where none is named.

    A file holds JSON lines, also .gz, with `prompt` (a string or messages), perhaps `response`, `label` (harmful or
    safe) and perhaps `category`; OpenAI's moderation set is read as it comes. Harmful is the positive class. A row
    counts as flagged where the verdict has findings, at the thresholds of the gate as it is: none is tuned here.
    """
    from guard.training.evaluate import evaluate
    from rules.load import load
    from server.cli._bar import counting
    from server.cli._summary import counted
    from server.cli.gate import _tables

    sets = _sets(files, ignore, load(*chosen.rules).constitution)
    with _options.open_gate(chosen) as gate:
        with counting("rows", sum(len(each.rows) for each in sets), quiet=quiet) as advance:
            results = evaluate(gate, sets, advance)
        identity = gate.identity
    # Written first: a table on a closed pipe must not cost the figures of a long run.
    if json_file is not None:
        from constitution.formats.files import write_text
        from server.cli.gate._projection import dump

        found = {"gate": identity, "sets": [result.as_dict() for result in results]}
        write_text(json_file, dump(found, indent=2) + "\n")
    if plots is not None:
        from guard.training.plots import write_plots

        write_plots(results, plots)
    _tables.show(results, by)
    for each in sets:
        for label, count in each.ignored.items():
            click.echo(f"{each.name}: {counted(count, 'row')} labelled `{label}` passed over")
    for path in (json_file, plots):
        if path is not None:
            click.echo(f"written: {path}")


def _sets(files: tuple[Path, ...], ignore: tuple[str, ...], constitution: Constitution) -> list[CheckSet]:
    """The sets to measure on.

    Raises:
        LabelError: a file cannot be used, or nothing is left to measure on.
    """
    from guard.training.rows import LabelError
    from guard.training.sets import find_files, read_set, tests_of

    sets = [read_set(path, ignore) for path in find_files(files)] if files else tests_of(constitution)
    if not any(each.rows for each in sets):
        what = "no row is left: all are passed over" if files else "the rules have no `tests` to measure on"
        raise LabelError(what, "name a file of labelled rows")
    return sets
