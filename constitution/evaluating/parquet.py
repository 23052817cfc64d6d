"""Items as a Parquet file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from constitution.evaluating.criterion import DAMAGED, EvaluationError
from constitution.evaluating.report import Kept

_TEXTS = ("about", "judgements", "values")
"""Columns of names that differ from item to item: JSON texts in Parquet, whose columns have fixed names."""


def parquet_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """Each item as `Kept` reads it, with its place in the file.

    Raises:
        EvaluationError: the file is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches():
                for fields in batch.to_pylist():
                    number += 1
                    criterion = fields.pop("criterion")
                    read = {name: json.loads(fields[name]) for name in _TEXTS}
                    yield f"{path}: row {number}", {"criterion": criterion, "item": {**fields, **read}}
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise EvaluationError(f"`{path}` is no whole file of items", DAMAGED) from error


def write_parquet(path: Path, kept: list[Kept]) -> Path:
    """Write items, whole or not at all.

    Raises:
        FormatError: the file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from constitution.formats.base import FormatError

    said = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string()), ("reasoning", pa.string())]))
    schema = pa.schema(
        [
            ("criterion", pa.string()),
            ("id", pa.string()),
            ("about", pa.string()),
            ("prompt", said),
            ("answer", pa.string()),
            ("withheld", pa.bool_()),
            ("judgements", pa.string()),
            ("values", pa.string()),
            ("bad", pa.bool_()),
        ]
    )
    lines = []
    for each in kept:
        fields = each.item.model_dump(mode="json")
        texts = {name: json.dumps(fields[name], ensure_ascii=False) for name in _TEXTS}
        lines.append({"criterion": each.criterion, **fields, **texts})
    partial = path.with_name(f".{path.name}.partial")
    try:
        pq.write_table(pa.Table.from_pylist(lines, schema=schema), partial, compression="zstd")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise FormatError(f"cannot write `{path}`: {error.strerror or error}", "make room and run again") from error
    return path
