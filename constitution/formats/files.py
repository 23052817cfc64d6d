"""The files of a run: streamed line by line, and put in their place only when they are whole."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Protocol

from constitution.formats.base import Format, FormatError, Options, Unfit, Written
from constitution.row import Row

BLOCK = 1000
"""Lines of a Parquet row group: what is held in memory at once."""


class _Sink(Protocol):
    def write(self, line: dict[str, Any]) -> None: ...

    def close(self) -> None: ...


class _Jsonl:
    def __init__(self, path: Path) -> None:
        self._file: IO[str] = path.open("w", encoding="utf-8", newline="\n")

    def write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def close(self) -> None:
        with self._file:
            self._file.flush()
            os.fsync(self._file.fileno())


class _Parquet:
    def __init__(self, path: Path, schema: Any) -> None:
        import pyarrow.parquet as pq

        self._schema = schema
        self._lines: list[dict[str, Any]] = []
        self._file = path.open("wb")
        self._writer = pq.ParquetWriter(self._file, schema, compression="zstd")

    def write(self, line: dict[str, Any]) -> None:
        self._lines.append(line)
        if len(self._lines) >= BLOCK:
            self._flush()

    def close(self) -> None:
        with self._file:
            self._flush()
            self._writer.close()
            self._file.flush()
            os.fsync(self._file.fileno())

    def _flush(self) -> None:
        import pyarrow as pa

        if self._lines:
            self._writer.write_batch(pa.RecordBatch.from_pylist(self._lines, schema=self._schema))
            self._lines.clear()


class _Output:
    """One format on its way into a file."""

    def __init__(self, name: str, format_: Format, folder: Path, parquet: bool, options: Options) -> None:
        self.name = name
        self.path = folder / f"{name}.{'parquet' if parquet else 'jsonl'}"
        self.partial = folder / f".{self.path.name}.partial"
        self.lines = self.unfit = 0
        self._format = format_
        self._options = options
        self._sink: _Sink = _Parquet(self.partial, format_.schema(options)) if parquet else _Jsonl(self.partial)

    def take(self, row: Row) -> None:
        try:
            lines = list(self._format.project(row, self._options))
        except Unfit:
            self.unfit += 1
            return
        for line in lines:
            self._sink.write(line)
        self.lines += len(lines)

    def finish(self) -> Written:
        self._sink.close()
        self.partial.replace(self.path)
        # Of other rows or other settings: who loads the folder must not find both.
        self.path.with_suffix(".jsonl" if self.path.suffix == ".parquet" else ".parquet").unlink(missing_ok=True)
        return Written(name=self.name, path=self.path, lines=self.lines, unfit=self.unfit)

    def abandon(self) -> None:
        # The first fault is the one to report: a second one of a full disk would hide it.
        with contextlib.suppress(Exception):
            self._sink.close()
        with contextlib.suppress(OSError):
            self.partial.unlink(missing_ok=True)


def write(
    formats: Mapping[str, Format],
    rows: Callable[[], Iterable[Row]],
    folder: Path,
    *,
    parquet: bool,
    options: Options,
) -> tuple[Written, ...]:
    """Write the formats, by name, in one pass; `constitution.formats.write_formats` says the rest.

    Raises:
        FormatError: a file cannot be written.
    """
    with _spoken_of(folder), contextlib.ExitStack() as unfinished:
        folder.mkdir(parents=True, exist_ok=True)
        outputs = []
        for name, format_ in formats.items():
            output = _Output(name, format_, folder, parquet, options)
            unfinished.callback(output.abandon)
            outputs.append(output)
        for row in rows():
            for output in outputs:
                output.take(row)
        written = tuple(output.finish() for output in outputs)
        unfinished.pop_all()
    return written


def present(names: Iterable[str], folder: Path) -> tuple[Written, ...]:
    """The files of the formats `names` that lie in `folder`, with their lines counted; of two twins the newer.

    Raises:
        FormatError: a file cannot be read.
    """
    found = []
    with _spoken_of(folder, "read"):
        for name in names:
            twins = [path for path in (folder / f"{name}.jsonl", folder / f"{name}.parquet") if path.is_file()]
            if twins:
                path = max(twins, key=lambda twin: twin.stat().st_mtime_ns)
                found.append(Written(name=name, path=path, lines=_lines(path), earlier=True))
    return tuple(found)


def _lines(path: Path) -> int:
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return int(pq.read_metadata(path).num_rows)
        except pa.ArrowInvalid as error:
            raise FormatError(f"`{path}` is no Parquet file: {error}", "remove it and export again") from error
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(2**20), b""))


@contextlib.contextmanager
def _spoken_of(folder: Path, what: str = "write") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = error.filename or folder
        raise FormatError(
            f"cannot {what} `{where}`: {error.strerror or error}",
            "make room or give another folder, then export again: the rows themselves are kept",
        ) from error


def write_text(path: Path, text: str) -> Path:
    """Put `text` into `path`, whole or not at all.

    Raises:
        FormatError: it cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    with _spoken_of(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("w", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
    return path
