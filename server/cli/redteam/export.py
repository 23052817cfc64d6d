"""`wardlaw redteam export`: finds as what teaches the gate, or as prompts of the loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from server.cli._summary import counted
from server.cli.gate._options import percentage
from server.cli.redteam import _options


@click.command("export", short_help="finds as rows that teach the gate, or as prompts")
@click.option(
    "--format",
    "form",
    type=click.Choice(["gate", "prompts"]),
    default="gate",
    show_default=True,
    help="`gate`: labelled rows for `wardlaw gate train --data`; `prompts`: for `wardlaw generate`.",
)
@click.option("-o", "--out", type=click.Path(path_type=Path, dir_okay=False), help="The file.  [default: stdout]")
@click.option("--all", "everything", is_flag=True, help="Also finds that are fixed or accepted; else only open ones.")
@click.option(
    "--hold-out",
    callback=lambda context, option, text: None if text is None else percentage(context, option, text),
    metavar="PERCENT",
    help="Leave out so many finds, always the same: `replay --hold-out` tells of them apart.",
)
@_options.filter_options
@_options.ledger_option
def command(form: str, out: Path | None, everything: bool, hold_out: float | None, ledger: Path, **given: Any) -> None:
    """Write open finds as JSON lines: breaks as harmful rows, false alarms as safe ones; or the prompts of breaks.

    What a gate was taught proves little when it is replayed: hold some out.
    """
    from guard.ledger.find import held_out
    from guard.ledger.labels import label_row, prompt_row
    from server.cli.gate._projection import dump

    if not everything and not given["status"]:
        given["status"] = ("open",)
    if form == "prompts" and given["kind"] is None:
        given["kind"] = "break"
    _, _, found = _options.meant(ledger, given)
    if hold_out:
        found = [entry for entry in found if not held_out(entry.find.id, hold_out)]
    project = label_row if form == "gate" else prompt_row
    projected = [project(entry) for entry in found]
    rows = [row for row in projected if row is not None]
    text = "".join(f"{dump(row)}\n" for row in rows)
    if len(rows) < len(found):
        count = len(found) - len(rows)
        click.echo(f"{counted(count, 'find')} left out: what breaks a rule is an answer, and none was kept", err=True)
    if out is None:
        click.echo(text, nl=False)
        return
    from constitution.formats.files import write_text

    write_text(out, text)
    click.echo(f"{out}: {counted(len(rows), 'row')}")
