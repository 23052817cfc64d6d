"""`wardlaw gate calibrate`: set the gate's thresholds for a false-positive budget on the user's own traffic."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rules.errors import WardlawError
from server.cli._sections import Sectioned
from server.cli.gate import _options, _out

if TYPE_CHECKING:
    from guard.exchange import Exchange
    from guard.gate import Gate
    from guard.trained.heads import Heads
    from guard.training.calibrate import Promise
    from guard.training.sets import Line
    from guard.training.traffic import Row
    from rules.schema import Constitution

_SECTIONS = {
    "Traffic": ("benign", "budget", "side", "unsure", "traffic"),
    "Gate": _options.SECTION,
    "Output": ("out", "quiet"),
}
_SIDES = {"prompts": "asked", "answers": "answered"}


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
    lines = _read(benign)
    from guard.training.calibrate import check_budget

    check_budget(budget)
    sides = _exchanges(lines, side)
    _check_rows(sides, budget)
    with _options.open_gate(chosen, thorough=True) as gate:
        made = _heads(chosen.heads, gate.constitution)
        for name, exchanges in sides.items():
            rows = _scored(gate, made, name, exchanges, quiet=quiet)
            made, told = _set(made, name, rows, budget, unsure, traffic or _named(benign, name))
            click.echo("\n".join(told))
    _write(made, out)
    click.echo(f"{out}: use it with --heads {out}")


def _read(files: Sequence[Path]) -> list[Line]:
    """All lines of the files.

    Raises:
        LabelError: a file cannot be read, holds no row, or holds one that is labelled harmful.
    """
    from guard.training.rows import HARMFUL, LabelError
    from guard.training.sets import find_files, read_exchanges

    lines: list[Line] = []
    for path in find_files(files):
        found = list(read_exchanges(path))
        if not found:
            raise LabelError(f"`{path}` has no rows", 'write {"prompt": "..."}, one object a line')
        for line in found:
            if line.fields.get("label") == HARMFUL:
                raise LabelError(f"{line.where}: labelled `{HARMFUL}`", "give harmless traffic alone")
        lines += found
    return lines


def _exchanges(lines: Sequence[Line], side: str | None) -> dict[str, list[tuple[str, Exchange]]]:
    """Side -> the exchanges that set its threshold, each with its place. An answered row counts on both sides.

    Raises:
        WardlawError: the side that was asked for has none.
    """
    from guard.exchange import Exchange

    found: dict[str, list[tuple[str, Exchange]]] = {"prompts": [], "answers": []}
    for line in lines:
        messages = line.exchange.messages
        if messages[-1].role == "assistant":
            found["answers"].append((line.where, line.exchange))
            messages = messages[:-1]
        if messages and messages[-1].role == "user":
            found["prompts"].append((line.where, Exchange(messages)))
    wanted = [name for name in found if side in (name, "both") or (side is None and found[name])]
    for name in wanted:
        if not found[name]:
            hint = "give rows with a `response`" if name == "answers" else "give rows with a `prompt` that a user says"
            raise WardlawError(f"the traffic has no {name}", hint)
    return {name: found[name] for name in wanted}


def _check_rows(sides: dict[str, list[tuple[str, Exchange]]], budget: float) -> None:
    """See before any model is loaded that the rows can promise the budget.

    Raises:
        CalibrationError: they cannot.
    """
    from guard.training.calibrate import CalibrationError, percent, rows_needed

    needed = rows_needed(budget)
    for name, exchanges in sides.items():
        if len(exchanges) < needed:
            others = [other for other in sides if other != name and len(sides[other]) >= needed]
            more = f"; or set the others alone, with --side {others[0]}" if others else ""
            raise CalibrationError(
                f"{len(exchanges):,} benign {name} cannot promise {percent(budget)}",
                f"it takes {needed:,} with no false positive, {rows_needed(budget, 1):,} with one{more}",
            )


def _heads(given: str, constitution: Constitution) -> Heads:
    from guard.trained.heads import Heads, shipped

    heads = shipped(constitution) if given == "shipped" else Heads.load(Path(given)).within(constitution)
    if heads is None:
        raise WardlawError(
            "no shipped heads know any of these rules",
            "train some with `wardlaw gate train` and name them with --heads",
        )
    return heads


def _scored(
    gate: Gate, heads: Heads, name: str, exchanges: Sequence[tuple[str, Exchange]], *, quiet: bool
) -> list[Row]:
    from guard.training.traffic import score_traffic
    from server.cli._bar import counting

    if _SIDES[name] not in heads.sides:
        other = next(other for other in _SIDES if other != name)
        raise WardlawError(f"the heads judge no {name}", f"set the other threshold alone, with --side {other}")
    with counting(name, len(exchanges), quiet=quiet) as advance:
        return score_traffic(gate, exchanges, advance)


def _set(
    heads: Heads, name: str, rows: Sequence[Row], budget: float, unsure: float, traffic: str
) -> tuple[Heads, list[str]]:
    """The heads with the new threshold of one side, and what to say of it."""
    from datetime import UTC, datetime

    from guard.training.calibrate import unsure_from
    from guard.training.traffic import promise

    found = promise(rows, budget, traffic)
    border = unsure_from([row.score for row in rows], found.threshold, unsure)
    side = _SIDES[name]
    before = heads.sides[side].threshold
    card = {**found.as_dict(), "date": datetime.now(UTC).date().isoformat()}
    return heads.with_threshold(side, found.threshold, border, card), _told(name, rows, found, before, border)


def _told(name: str, rows: Sequence[Row], found: Promise, before: float, border: float) -> list[str]:
    from guard.training.calibrate import percent

    lines = [
        f"{name}: threshold {found.threshold:.4f} (was {before:.4f}), unsure from {border:.4f}",
        f"  at most {percent(found.budget)} of {found.traffic} is flagged, with {found.confidence:.0%} confidence:",
        f"  {found.observed:,} of {found.rows:,} rows are, {found.allowed:,} may be, bound {percent(found.bound)}",
    ]
    always = sum(bool(row.always) for row in rows)
    if always:
        lines.append(f"  flagged whatever the threshold, by patterns or rules without a head: {always:,}")
    repeated = len(rows) - len({row.key for row in rows})
    if repeated:
        lines.append(f"  repeating another row: {repeated:,}; the promise holds with them and without them")
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
