"""Rows into batches: texts of like length together, twins in the same batch, one side at a time."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from guard.detectors._readings import in_context
from guard.training.rows import Row

LONG = 260
"""Characters above which a text is long, and its batch half as large."""

_BUCKET = 50
"""Batches whose rows are sorted by length together: enough for little padding, few enough to stay mixed."""


def text_of(row: Row) -> str:
    """What the encoder reads of a row: the same as at run time."""
    return in_context(row.prompt, row.text) if row.prompt is not None else row.text


def batches(rows: Sequence[Row], size: int, twice: float, rng: random.Random) -> Iterator[list[Row]]:
    """One pass over the rows.

    Args:
        rows: to teach.
        size: rows a batch; about half as many where they are long.
        twice: how often a pair of twins is shown in a pass, beside once for every other row.
        rng: of the order.
    """
    made: list[list[Row]] = []
    for answers in (False, True):
        units = list(_units([row for row in rows if row.answers == answers], twice, rng))
        rng.shuffle(units)
        for start in range(0, len(units), _BUCKET * size):
            made += _packed(sorted(units[start : start + _BUCKET * size], key=_length), size)
    rng.shuffle(made)
    yield from made


def _units(rows: Sequence[Row], twice: float, rng: random.Random) -> Iterator[list[Row]]:
    pairs: dict[str, list[Row]] = {}
    for row in rows:
        if row.pair is None:
            yield [row]
        else:
            pairs.setdefault(row.pair, []).append(row)
    for twins in pairs.values():
        for _ in range(int(twice + rng.random())):
            yield twins


def _length(unit: Sequence[Row]) -> int:
    return max(len(text_of(row)) for row in unit)


def _packed(units: Sequence[list[Row]], size: int) -> list[list[Row]]:
    made: list[list[Row]] = []
    batch: list[Row] = []
    for unit in units:
        batch += unit
        if len(batch) >= (size if _length(unit) <= LONG else size // 2):
            made.append(batch)
            batch = []
    return [*made, batch] if len(batch) > 1 else made
