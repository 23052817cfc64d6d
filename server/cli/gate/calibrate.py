"""`wardlaw gate calibrate`: set the gate's thresholds for a false-positive budget on the user's own traffic."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rules.errors import WardlawError
from server.cli._sections import Sectioned
from server.cli.gate import _options, _out

if TYPE_CHECKING:
    from guard.trained.heads import Heads
    from guard.training.recalibrate import Border
    from rules.schema import Constitution

_SECTIONS = {
    "Traffic": ("benign", "budget", "side", "unsure", "traffic"),
    "Gate": _options.SECTION,
    "Output": ("out", "quiet"),
}


@click.command("calibrate", cls=Sectioned, sections=_SECTIONS, short_help="set the thresholds on your own traffic")
@click.option(
    "--benign",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    metavar="FILE",
    help="Harmless traffic: JSON lines with `prompt` and perhaps `response`, also .gz; may be given several times.",
)
@_options.budget_option
@click.option(
    "--side",
    type=click.Choice(["prompts", "answers", "both"]),
    help="Which threshold to set.  [default: prompts, and answers where rows have a `response`]",
)
@_options.unsure_option
@click.option("--traffic", help="What the traffic is, in words, for the card.  [default: the files' names]")
@_options.gate_options
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Where the heads with the new thresholds go: a folder that is not there yet.",
)
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
def command(
    benign: tuple[Path, ...],
    budget: float,
    side: str | None,
    unsure: float,
    traffic: str | None,
    chosen: _options.Chosen,
    out: Path,
    quiet: bool,
) -> None:
    """Set the gate's thresholds so that at most the budget of such traffic is flagged, with 95% confidence.

    Every row goes through the whole gate. The threshold is the lowest for which the exact bound holds. A budget that
    the rows are too few to promise is refused, and the error says how many it takes: 299 rows without a false positive
    for 1%, 2,995 for 0.1%. Use the new heads with `--heads OUT`.
    """
    if chosen.no_meaning or chosen.encoder == "none" or chosen.heads == "none":
        raise click.UsageError("only trained heads have thresholds\n  hint: leave --no-meaning, and `none`, away")
    _out.check_free(out)
    from guard.training.calibrate import check_budget
    from guard.training.recalibrate import check_rows, exchanges_of, read_traffic, with_border
    from server.cli._bar import counting

    lines = read_traffic(benign)
    check_budget(budget)
    sides = exchanges_of(lines, side)
    check_rows(sides, budget, other="set the others alone, with --side {}")
    with _options.open_gate(chosen, thorough=True) as gate:
        made = _heads(chosen.heads, gate.constitution)
        _check_sides(made, sides)
        for name, exchanges in sides.items():
            with counting(name, len(exchanges), quiet=quiet) as advance:
                made, border = with_border(
                    made,
                    gate,
                    name,
                    exchanges,
                    budget=budget,
                    unsure=unsure,
                    traffic=traffic or _named(benign, name),
                    advance=advance,
                )
            click.echo("\n".join(_told(name, border)))
    _write(made, out)
    click.echo(f"{out}: use it with --heads {out}")


def _heads(given: str, constitution: Constitution) -> Heads:
    from guard.trained.heads import Heads, shipped

    heads = shipped(constitution) if given == "shipped" else Heads.load(Path(given)).within(constitution)
    if heads is None:
        raise WardlawError(
            "no shipped heads know any of these rules",
            "train some with `wardlaw gate train` and name them with --heads",
        )
    return heads


def _check_sides(heads: Heads, sides: Iterable[str]) -> None:
    """See that the heads judge what is to be set.

    Raises:
        WardlawError: they do not.
    """
    from guard.training.recalibrate import SIDES

    for name in sides:
        if SIDES[name] not in heads.sides:
            other = next(other for other in SIDES if other != name)
            raise WardlawError(f"the heads judge no {name}", f"set the other threshold alone, with --side {other}")


def _told(name: str, border: Border) -> list[str]:
    from guard.training.calibrate import percent

    found = border.promise
    lines = [
        f"{name}: threshold {found.threshold:.4f} (was {border.before:.4f}), unsure from {border.unsure:.4f}",
        f"  at most {percent(found.budget)} of {found.traffic} is flagged, with {found.confidence:.0%} confidence:",
        f"  {found.observed:,} of {found.rows:,} rows are, {found.allowed:,} may be, bound {percent(found.bound)}",
    ]
    if border.always:
        lines.append(f"  flagged whatever the threshold, by patterns or rules without a head: {border.always:,}")
    if border.repeated:
        lines.append(f"  repeating another row: {border.repeated:,}; the promise holds with them and without them")
    return lines


def _named(files: Sequence[Path], name: str) -> str:
    return f"{name} as in " + ", ".join(path.name for path in files)


def _write(heads: Heads, out: Path) -> None:
    """Save the heads; the folder is there whole or not at all."""
    with _out.beside(out) as partial:
        heads.save(partial)
        if out.is_dir():
            out.rmdir()  # empty, as was seen
        partial.rename(out)
