"""Which files are meant, and their lines: JSON lines, packed by gzip or not, and rows of Parquet."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from guard.globbing import files_like, is_pattern
from guard.training.rows import LabelError

ENDINGS = (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz", ".parquet")
LONGEST = 4 * 2**20
"""Bytes of a line that are read. What is longer is put aside: views and models of such a text would take a worker's
memory and minutes, and nobody reads it as one text."""
_COLUMNS = ("id", "prompt", "messages", "response")


@dataclass(frozen=True, slots=True)
class Raw:
    """One line as it stands in its file, without the line's end."""

    number: int
    """From 1; in Parquet the row."""
    data: bytes
    """Of a line that is too long, its digest."""
    size: int
    """Its bytes, more than `data` has where it is too long."""

    @property
    def too_long(self) -> bool:
        """Whether it is not read."""
        return self.size > LONGEST


def find(names: Iterable[str]) -> list[str]:
    """The files that names, patterns (`*`, `?`, `[`, `**`) and folders stand for, each once, in the order given.

    Raises:
        LabelError: one stands for no file.
    """
    found: list[str] = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            inside = sorted(str(each) for each in path.rglob("*") if each.name.endswith(ENDINGS) and each.is_file())
            if not inside:
                raise LabelError(f"the folder `{name}` holds no file to judge", f"its files must end in {_endings()}")
            found += inside
        elif path.is_file():
            found.append(name)
        elif is_pattern(name):
            files = files_like(name)
            if not files:
                raise LabelError(f"no file is called like `{name}`", "look at the folder and the ending")
            found += files
        else:
            raise LabelError(f"no file `{name}`", f"name a file that ends in {_endings()}, a pattern, or a folder")
    return list(dict.fromkeys(found))


def read(name: str) -> Iterator[Raw]:
    """The lines of a file that are not blank.

    Raises:
        LabelError: the file cannot be read, or not to its end: what stands before was given.
    """
    return _parquet(name) if name.endswith(".parquet") else _lines(name)


def _lines(name: str) -> Iterator[Raw]:
    try:
        with gzip.open(name) if name.endswith(".gz") else Path(name).open("rb") as file:
            number = 0
            while line := file.readline(LONGEST + 2):
                number += 1
                if line.endswith(b"\n") or len(line) <= LONGEST:
                    data = line.rstrip(b"\r\n")
                    if data.strip():
                        yield Raw(number, data, len(data))
                else:
                    yield _passed_over(number, line, file)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise LabelError(f"`{name}` is no whole gzip file ({error})", "fetch the file again") from error
    except OSError as error:
        raise LabelError(f"`{name}` cannot be read: {error.strerror or error}", "look at the file") from error


def _passed_over(number: int, begun: bytes, file: IO[bytes] | gzip.GzipFile) -> Raw:
    """A line too long to be held: read to its end piece by piece."""
    digest, size, piece = hashlib.blake2b(digest_size=16), 0, begun
    while piece:
        digest.update(piece)
        size += len(piece)
        if piece.endswith(b"\n"):
            break
        piece = file.readline(LONGEST)
    return Raw(number, digest.digest(), size)


def _parquet(name: str) -> Iterator[Raw]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(name) as file:
            columns = [column for column in _COLUMNS if column in file.schema_arrow.names]
            number = 0
            for batch in file.iter_batches(256, columns=columns):
                for fields in batch.to_pylist():
                    number += 1
                    data = json.dumps(fields, ensure_ascii=False, default=str).encode("utf-8", "surrogatepass")
                    if len(data) > LONGEST:
                        yield Raw(number, hashlib.blake2b(data, digest_size=16).digest(), len(data))
                    else:
                        yield Raw(number, data, len(data))
    except (OSError, pa.ArrowException) as error:
        what = " ".join(str(error).split())[:200]
        raise LabelError(f"`{name}` cannot be read as Parquet: {what}", "look at the file") from error


def _endings() -> str:
    return ", ".join(ENDINGS[:-1]) + f" or {ENDINGS[-1]}"
