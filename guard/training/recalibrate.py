"""Thresholds of heads that are there already, set anew on somebody's own harmless traffic."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from guard.exchange import Exchange
from guard.gate import Gate
from guard.trained.heads import Heads
from guard.trained.sides import ANSWERED, ASKED
from guard.training.calibrate import CalibrationError, Promise, percent, rows_needed, unsure_from
from guard.training.rows import HARMFUL, LabelError
from guard.training.sets import Line, find_files, read_exchanges
from guard.training.traffic import Row, promise, score_traffic
from rules.errors import WardlawError

SIDES: Mapping[str, str] = {"prompts": ASKED, "answers": ANSWERED}
"""What a person calls a side -> what heads call it."""


@dataclass(frozen=True, slots=True)
class Border:
    """A threshold that was set."""

    promise: Promise
    before: float
    """The threshold that was there."""
    unsure: float
    """The lower border of the unsure band."""
    always: int
    """Rows that are flagged whatever the threshold."""
    repeated: int
    """Rows that repeat another one."""


def read_traffic(files: Sequence[Path]) -> list[Line]:
    """All lines of the files.

    Raises:
        LabelError: a file cannot be read, holds no row, or holds one that is labelled harmful.
    """
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


def exchanges_of(lines: Iterable[Line], side: str | None = None) -> dict[str, list[tuple[str, Exchange]]]:
    """Side -> the exchanges that set its threshold, each with its place. An answered row counts on both sides.

    Args:
        lines: the traffic.
        side: `prompts`, `answers` or `both`; None takes those that there are.

    Raises:
        WardlawError: the side that was asked for has none.
    """
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


def check_rows(sides: Mapping[str, Sequence[object]], budget: float, *, other: str = "") -> None:
    """See before any model is loaded that the rows can promise the budget.

    Args:
        sides: side -> its rows.
        budget: share of harmless traffic that may be flagged.
        other: how the other side alone is asked for, with `{}` in the place of its name; told where that would do.

    Raises:
        CalibrationError: they cannot.
    """
    needed = rows_needed(budget)
    for name, exchanges in sides.items():
        if len(exchanges) < needed:
            others = [each for each in sides if each != name and len(sides[each]) >= needed]
            more = f"; or {other.format(others[0])}" if other and others else ""
            raise CalibrationError(
                f"{len(exchanges):,} benign {name} cannot promise {percent(budget)}",
                f"it takes {needed:,} with no false positive, {rows_needed(budget, 1):,} with one{more}",
            )


def with_border(
    heads: Heads,
    gate: Gate,
    name: str,
    exchanges: Sequence[tuple[str, Exchange]],
    *,
    budget: float,
    unsure: float,
    traffic: str,
    advance: Callable[[int], object] = lambda _: None,
) -> tuple[Heads, Border]:
    """The heads with a new threshold of one side, through the whole gate.

    Args:
        heads: those of the gate; they judge that side.
        gate: a thorough one.
        name: `prompts` or `answers`.
        exchanges: harmless ones, each with its place.
        budget: share of such traffic that may be flagged.
        unsure: share of it that a judge may be asked about.
        traffic: what it is, in words, for the card.
        advance: called with the number of rows judged since the last call.

    Raises:
        CalibrationError: the rows cannot promise the budget, or a detector failed on one.
    """
    rows: list[Row] = score_traffic(gate, exchanges, advance)
    found = promise(rows, budget, traffic)
    border = unsure_from([row.score for row in rows], found.threshold, unsure)
    side = SIDES[name]
    before = heads.sides[side].threshold
    card = {**found.as_dict(), "date": datetime.now(UTC).date().isoformat()}
    repeated = len(rows) - len({row.key for row in rows})
    told = Border(found, before, border, sum(bool(row.always) for row in rows), repeated)
    return heads.with_threshold(side, found.threshold, border, card), told
