"""Decisions into a file: JSON lines, CSV or Parquet, by its ending. Streams; memory stays flat."""

from __future__ import annotations

import contextlib
import csv
import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import orjson

from server.audit.errors import AuditError
from server.audit.query import FIELDS, Found, as_json, flat

ENDINGS = (".jsonl", ".csv", ".parquet")
BLOCK = 1000
"""Rows of a Parquet row group: what is held in memory at once."""

_FLOATS = frozenset({"at", "seconds", "first_s", "upstream_s"})
_WHOLE = frozenset({"status", "rounds", "drawn"})
_YES_OR_NO = frozenset({"streamed", "degraded"})


def export(path: Path, found: Iterable[Found]) -> int:
    """Write decisions into a file, which is there only when it is whole.

    Returns:
        how many.

    Raises:
        AuditError: the ending is unknown, or the file cannot be written.
    """
    check_ending(path)
    write = {".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet}[path.suffix]
    with _whole(path) as file:
        return write(file, found)


def write_lines(path: Path, lines: Iterable[dict[str, Any]]) -> int:
    """Write JSON lines into a file, which is there only when it is whole.

    Returns:
        how many.

    Raises:
        AuditError: the file cannot be written.
    """
    with _whole(path) as file:
        return _objects(file, lines)


def check_ending(path: Path) -> None:
    """See that a file's ending says what to write.

    Raises:
        AuditError: it does not.
    """
    if path.suffix not in ENDINGS:
        raise AuditError(f"unknown ending of `{path}`", f"give a file that ends in {', '.join(ENDINGS)}")


@contextlib.contextmanager
def _whole(path: Path) -> Iterator[IO[bytes]]:
    """A file beside `path` that takes its place when the block ends well. For this user's eyes only."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with open(partial, "wb", opener=_for_me_alone) as file:
            yield file
        partial.replace(path)
    except OSError as error:
        raise AuditError(
            f"cannot write `{path}`: {error.strerror or error}", "make room, or give another file"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


def _for_me_alone(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _jsonl(file: IO[bytes], found: Iterable[Found]) -> int:
    return _objects(file, map(as_json, found))


def _objects(file: IO[bytes], lines: Iterable[dict[str, Any]]) -> int:
    count = 0
    for line in lines:
        file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        count += 1
    return count


def _csv(file: IO[bytes], found: Iterable[Found]) -> int:
    count = 0
    with io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True) as text:
        rows = csv.DictWriter(text, ("time", *FIELDS))
        rows.writeheader()
        for each in found:
            rows.writerow({name: _cell(value) for name, value in flat(each).items()})
            count += 1
    return count


def _cell(value: Any) -> Any:
    """A spreadsheet takes a text that begins so for a formula, and clients write texts."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def _parquet(file: IO[bytes], found: Iterable[Found]) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, _type(name, pa)) for name in ("time", *FIELDS)])
    count, block = 0, []
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for each in found:
            block.append(dict(flat(each)))
            count += 1
            if len(block) == BLOCK:
                writer.write_batch(pa.RecordBatch.from_pylist(block, schema=schema))
                block.clear()
        if block:
            writer.write_batch(pa.RecordBatch.from_pylist(block, schema=schema))
    return count


def _type(name: str, pa: Any) -> Any:
    if name in _FLOATS:
        return pa.float64()
    if name in _WHOLE:
        return pa.int32()
    return pa.bool_() if name in _YES_OR_NO else pa.string()
