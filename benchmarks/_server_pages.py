"""The tables of `server_latency.py`, and what was aimed at beside what came out."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks._bench import table
from benchmarks._server_cells import CHUNKS, PAUSE_MS, Cell, Row, Taken
from benchmarks._server_process import Server
from benchmarks._server_setups import Setup
from benchmarks._server_texts import REPLY

DIRECT = "the mock itself"
FLOOR = "floor"
TEN = "ten patterns"
MEANING = "base, meaning"
FIRST_BYTES = 80
"""Bytes after which the first scan for meaning is due, as the window has it by default."""


def middle(taken: Taken, server: str, cell: str, what: str) -> float | None:
    """Median over the rounds."""
    rows = [row[what] for row in taken.get((server, cell), ()) if what in row]
    return statistics.median(rows) if rows else None


Compare = Callable[[float, float], float]


def against(taken: Taken, cell: str, what: str, one: str, other: str, compare: Compare) -> float | None:
    """Median over the rounds of how two servers compare within each."""
    pairs = zip(taken.get((one, cell), ()), taken.get((other, cell), ()), strict=False)
    found = [compare(a[what], b[what]) for a, b in pairs if what in a and what in b and b[what]]
    return statistics.median(found) if found else None


def ratio(taken: Taken, cell: str, what: str, one: str, other: str) -> float | None:
    """How many times as much."""
    return against(taken, cell, what, one, other, lambda a, b: a / b)


def added(taken: Taken, cell: str, what: str, one: str) -> float | None:
    """Milliseconds more than the mock alone."""
    return against(taken, cell, what, one, DIRECT, lambda a, b: a - b)


def written(value: float | None, digits: int = 2) -> str:
    """A number for a table."""
    return "" if value is None else f"{value:,.{digits}f}"


def pages(
    setups: Sequence[Setup],
    servers: Sequence[Server],
    through: Mapping[str, Mapping[str, str]],
    taken: Taken,
    cells: Sequence[Cell],
) -> str:
    """Every table."""
    parts = ["## Who\n", _who(setups, servers, through, taken)]
    names = [DIRECT, *(setup.name for setup in setups)]
    for cell in cells:
        parts += [f"\n## {cell.title}\n", (_streams if cell.stream else _wholes)(taken, cell, names)]
    return "\n".join(parts)


def _who(
    setups: Sequence[Setup], servers: Sequence[Server], through: Mapping[str, Mapping[str, str]], taken: Taken
) -> str:
    head = ["server", "", "breaking prompt", "breaking answer", "breaking stream", "start s", "MB at most"]
    rows = []
    for setup, server in zip(setups, servers, strict=True):
        seen = through[server.name]
        peak = max((row["mb"] for (name, _), rows in taken.items() if name == server.name for row in rows), default=0.0)
        told = [seen["prompt"], seen["answer"], seen["stream"]]
        rows.append([setup.name, setup.note, *told, written(server.start_s), written(peak, 0)])
    return table(head, rows)


def _wholes(taken: Taken, cell: Cell, names: Sequence[str]) -> str:
    head = ["server", "p50 ms", "p95", "p99", "added p50", "added p95", "added p99", "answers/s", "of the floor"]
    head += ["CPU ms an answer", "answers", "faults", "wrong"]
    rows = [
        [name, *_three(taken, cell, name, "took"), *_added(taken, cell, name, "took"), *_rest(taken, cell, name)]
        for name in names
    ]
    return table(head, rows)


def _streams(taken: Taken, cell: Cell, names: Sequence[str]) -> str:
    head = ["server", "first text p50 ms", "p95", "p99", "added p50", "added p95", "added p99"]
    head += ["token late by p50", "p95", "added p50", "added p95", "gap p50", "gap p99", "whole p50"]
    head += ["streams/s", "of the floor", "CPU ms a stream", "streams", "faults", "wrong"]
    rows = []
    for name in names:
        row = [name, *_three(taken, cell, name, "first"), *_added(taken, cell, name, "first")]
        row += [written(middle(taken, name, cell.name, what)) for what in ("behind50", "behind95")]
        row += [written(_or_none(taken, cell, name, what)) for what in ("behind50", "behind95")]
        row += [written(middle(taken, name, cell.name, what)) for what in ("gap50", "gap99", "took50")]
        rows.append([*row, *_rest(taken, cell, name)])
    return table(head, rows)


def _three(taken: Taken, cell: Cell, name: str, what: str) -> list[str]:
    return [written(middle(taken, name, cell.name, f"{what}{share}")) for share in (50, 95, 99)]


def _added(taken: Taken, cell: Cell, name: str, what: str) -> list[str]:
    return [written(_or_none(taken, cell, name, f"{what}{share}")) for share in (50, 95, 99)]


def _or_none(taken: Taken, cell: Cell, name: str, what: str) -> float | None:
    return None if name == DIRECT else added(taken, cell.name, what, name)


def _rest(taken: Taken, cell: Cell, name: str) -> list[str]:
    rows: Sequence[Row] = taken.get((name, cell.name), ())
    share = ratio(taken, cell.name, "rate", name, FLOOR)
    rate, cpu = middle(taken, name, cell.name, "rate"), middle(taken, name, cell.name, "cpu_ms")
    told = [written(rate, 1), "" if share is None else f"{share:.0%}", written(cpu, 3)]
    return [*told, *(f"{sum(row.get(what, 0) for row in rows):.0f}" for what in ("answers", "faults", "wrong"))]


@dataclass(frozen=True)
class Aim:
    """How two servers should compare."""

    cell: str
    what: str
    over: str
    under: str
    at_least: float
    words: str


AIMS = (
    Aim("whole-200-1", "took50", "LiteLLM, own guard", TEN, 10, "p50, 200 characters, one at a time"),
    Aim("whole-200-1", "took50", "NeMo, regex rails", TEN, 40, "p50, 200 characters, one at a time"),
    Aim("whole-200-32", "rate", TEN, "LiteLLM, own guard", 20, "answers/s, 200 characters, 32 at a time"),
    Aim("whole-4000-32", "rate", TEN, "LiteLLM, own guard", 20, "answers/s, 4,000 characters, 32 at a time"),
    Aim("whole-4000-32", "rate", TEN, "floor, ten patterns", 1, "answers/s, 4,000 characters, 32 at a time"),
    Aim("whole-200-32", "rate", TEN, FLOOR, 0.5, "answers/s, 200 characters, 32 at a time"),
    Aim("whole-4000-32", "rate", TEN, FLOOR, 0.5, "answers/s, 4,000 characters, 32 at a time"),
    Aim("whole-200-32", "rate", MEANING, "LiteLLM, content filter", 1, "answers/s, 200 characters, 32 at a time"),
    Aim("whole-4000-32", "rate", MEANING, "LiteLLM, content filter", 1, "answers/s, 4,000 characters, 32 at a time"),
)


def claims(taken: Taken) -> str:
    """What was aimed at, with what came out: ratios within a round, medians over rounds."""
    rows = []
    for aim in AIMS:
        value = ratio(taken, aim.cell, aim.what, aim.over, aim.under)
        if value is not None:
            words = f"{aim.words}: `{aim.over}` / `{aim.under}`"
            rows.append([words, written(value), f">= {aim.at_least:g}", "yes" if value >= aim.at_least else "no"])
    window = math.ceil(FIRST_BYTES / (REPLY / CHUNKS)) * PAUSE_MS
    most = (
        ("first text added to a paced stream, ms: `ten patterns`", added(taken, "paced-200-1", "first50", TEN), 5.0),
        ("the same, within one window: `base, meaning`", added(taken, "paced-200-1", "first50", MEANING), window),
        ("MB at most: `ten patterns`", _most(taken, TEN, "mb"), 150.0),
    )
    for words, value, limit in most:
        if value is not None:
            rows.append([words, written(value), f"<= {limit:g}", "yes" if value <= limit else "no"])
    return "\n## Aims\n\n" + table(["what", "measured", "aim", "met"], rows) if rows else ""


def _most(taken: Taken, name: str, what: str) -> float | None:
    return max((row[what] for (server, _), rows in taken.items() if server == name for row in rows), default=None)
