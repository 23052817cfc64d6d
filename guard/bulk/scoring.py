"""A unit through the gate: a row a line, whatever is wrong with a line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from guard.bulk.files import LONGEST, Raw
from guard.bulk.marks import DEATHS, Marks
from guard.bulk.shard import Fields, aside_row, digest_of, verdict_row
from guard.bulk.unit import Unit
from guard.gate import BATCH_LIMIT, Gate
from guard.training.rows import LabelError
from guard.training.sets import Line, as_line, as_object
from rules.hazards import called

_MEGABYTE = 2**20


def judge(unit: Unit, gate: Gate, marks: Marks, hazards: str | None = None) -> list[Fields]:
    """The rows of a unit, in the order of its lines.

    Args:
        unit: the lines.
        gate: what judges.
        marks: what is known of this unit from workers that died at it.
        hazards: a hazard system in whose codes rows also say what was found.

    Raises:
        OSError: the marks cannot be written.
    """
    rows: dict[int, Fields] = {}
    lines: list[Line] = []
    for raw in unit.lines:
        try:
            lines.append(_line(unit.file, raw))
        except LabelError as error:
            why = error.what.removeprefix(f"{Path(unit.file)}:{raw.number}: ")
            rows[raw.number] = aside_row(unit.file, raw.number, why, digest_of(raw.data))
    content = {raw.number: digest_of(raw.data) for raw in unit.lines}
    scorer = _Scorer(unit.file, gate, hazards, content)
    if marks.careful:
        for line in lines:
            if marks.deadly(line.number):
                why = f"{DEATHS} workers died while they judged it alone"
                rows[line.number] = scorer.aside(line, why)
                continue
            marks.at(line.number)
            rows |= scorer.one_by_one([line])
    else:
        for start in range(0, len(lines), BATCH_LIMIT):
            rows |= scorer.batch(lines[start : start + BATCH_LIMIT])
    return [rows[raw.number] for raw in unit.lines]


class _Scorer:
    def __init__(self, file: str, gate: Gate, hazards: str | None, content: dict[int, int]) -> None:
        self._file = file
        self._gate = gate
        self._hazards = hazards
        self._content = content

    def batch(self, lines: Sequence[Line]) -> dict[int, Fields]:
        try:
            return self._judged(lines)
        except Exception:  # a detector's fault stands in its verdict; what comes here would spoil the other lines
            return self.one_by_one(lines)

    def one_by_one(self, lines: Sequence[Line]) -> dict[int, Fields]:
        rows: dict[int, Fields] = {}
        for line in lines:
            try:
                rows |= self._judged([line])
            except Exception as error:
                rows[line.number] = self.aside(line, f"the gate failed at it: {type(error).__name__}: {error}")
        return rows

    def aside(self, line: Line, why: str) -> Fields:
        return aside_row(self._file, line.number, why, self._content[line.number], line.fields.get("id"))

    def _judged(self, lines: Sequence[Line]) -> dict[int, Fields]:
        rows = {}
        verdicts = self._gate.judge_many([line.exchange for line in lines])
        for line, verdict in zip(lines, verdicts, strict=True):
            codes = None
            if self._hazards is not None:
                by_rule = called(self._gate.constitution, verdict.broken, self._hazards)
                codes = list(dict.fromkeys(code for each in by_rule.values() for code in each))
            rows[line.number] = verdict_row(self._file, line, verdict, self._content[line.number], codes)
        return rows


def _line(file: str, raw: Raw) -> Line:
    """A line as an exchange.

    Raises:
        LabelError: it is none, or too long.
    """
    where = f"{Path(file)}:{raw.number}"
    if raw.too_long:
        size, most = raw.size / _MEGABYTE, LONGEST / _MEGABYTE
        raise LabelError(f"{where}: {size:,.1f} MiB in one line, over {most:g} MiB", "split it into texts")
    found = as_object(where, raw.data)
    if isinstance(found, LabelError):
        raise found
    return as_line(Path(file), raw.number, found)
