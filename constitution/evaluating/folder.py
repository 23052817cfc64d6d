"""An evaluation's folder: the calls, what determined its figures, the report, and every item.

evaluation.sqlite   every call that was answered
evaluation.json     what determines the figures
report.json         the figures; README.md and report.html say the same to people
items.jsonl         every item, or items.parquet
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from constitution.evaluating.criterion import DAMAGED, EvaluationError, Item
from constitution.evaluating.parquet import parquet_lines, write_parquet
from constitution.evaluating.report import Kept, Made, Report
from constitution.formats.files import write_text
from constitution.run import dump
from constitution.store import RowStore

MADE = "evaluation.json"
REPORT = "report.json"
JSONL = "items.jsonl"
PARQUET = "items.parquet"


class CallStore(RowStore):
    """The calls of one evaluation."""

    file = "evaluation.sqlite"


def hold(folder: Path, made: Made, *, used: bool, anew: bool) -> None:
    """Write down what determines the figures, unless the folder holds what was determined otherwise.

    Args:
        folder: the output folder, locked.
        made: what determines them.
        used: whether any call was answered for the folder; a run that failed at its first call does not bind it.
        anew: go on whatever it holds.

    Raises:
        EvaluationError: it does, and it was not said that it is to be made anew; or evaluation.json is damaged.
    """
    path = folder / MADE
    before: Made | None = _read(path, Made)
    changed = [] if before is None else before.differences(made)
    if changed and used and not anew:
        raise EvaluationError(
            f"`{folder}` holds an evaluation that was made otherwise:\n    " + "\n    ".join(changed),
            "use another --out folder, or --anew to write its report anew; finished calls are kept either way",
        )
    if before != made:
        write_text(path, dump(made.model_dump(mode="json")))


def read_report(folder: Path) -> Report:
    """The report of a finished evaluation.

    Raises:
        EvaluationError: there is none, or it is damaged.
    """
    found: Report | None = _read(folder / REPORT, Report)
    if found is None:
        raise EvaluationError(
            f"`{folder}` holds no finished evaluation",
            "name the --out folder of a `wardlaw evaluate` that came to its end",
        )
    return found


def read_items(folder: Path) -> dict[str, dict[str, Item]]:
    """Criterion -> id -> item.

    Raises:
        EvaluationError: the file is not there, or damaged.
    """
    found: dict[str, dict[str, Item]] = {}
    path = folder / PARQUET
    lines = parquet_lines(path) if path.is_file() else _json_lines(folder / JSONL)
    for where, fields in lines:
        try:
            kept = Kept.model_validate(fields)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise EvaluationError(f"{where}: `{place}`: {first['msg'].lower()}", DAMAGED) from None
        found.setdefault(kept.criterion, {})[kept.item.id] = kept.item
    return found


def write_items(folder: Path, items: Mapping[str, Iterable[Item]], *, parquet: bool) -> Path:
    """Write every item, whole or not at all; the file of the other kind goes.

    Raises:
        FormatError: the folder cannot be written.
    """
    kept = [Kept(criterion=name, item=item) for name, every in items.items() for item in every]
    if parquet:
        path = write_parquet(folder / PARQUET, kept)
    else:
        path = write_text(folder / JSONL, "".join(f"{each.model_dump_json()}\n" for each in kept))
    (folder / (JSONL if parquet else PARQUET)).unlink(missing_ok=True)
    return path


def write_report(folder: Path, report: Report) -> Path:
    """Write report.json, whole or not at all.

    Raises:
        FormatError: the folder cannot be written.
    """
    return write_text(folder / REPORT, dump(report.model_dump(mode="json")))


def _read(path: Path, kind: type[Any]) -> Any:
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise EvaluationError(f"`{path}` is damaged or of another wardlaw", DAMAGED) from error


def _json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield f"{path}:{number}", json.loads(line)
                except ValueError as error:
                    raise EvaluationError(f"{path}:{number}: not JSON", DAMAGED) from error
    except OSError as error:
        raise EvaluationError(f"`{path}` cannot be read: {error.strerror or error}", DAMAGED) from error
