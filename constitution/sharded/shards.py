"""The finished rows of a folder in Parquet shards, read as one.

A shard is written once, whole, and never changed: what a later pass says of a row otherwise (the near duplicates) lies
beside the shards, in changed.sqlite, and is read in its place.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from constitution.row import Row, Source
from constitution.row_file import FILE, StoreError
from constitution.sharded.plan import MARK, ROWS, WORK
from constitution.store import Counts, RowStore
from guard.models.base import Usage

CHANGED = "changed.sqlite"
"""Beside the shards: rows that stand otherwise than in their shard."""
_NAME = "[0-9]*-[0-9]*"
"""What parcels are called, and so their stores and shards."""
HALF = ".*.partial"
"""What shards are called while they are written; those of killed workers stay so."""
_BATCH = 256
_COLUMNS = ("position", "id", "status", "reason", "rules", "prompt_tokens", "completion_tokens", "row")


def is_sharded(folder: Path) -> bool:
    """Whether the rows of `folder` lie in shards, or will; a folder may have a `work` of its own."""
    if (folder / FILE).exists():
        return False
    return (folder / MARK).exists() or bool(shards_of(folder)) or any((folder / WORK).glob(f"{_NAME}/{FILE}"))


def shards_of(folder: Path) -> list[Path]:
    """The shards of a folder, in the order in which they are read: by run, then by place in its input."""
    return sorted((folder / ROWS).glob(f"{_NAME}.parquet"))


def write_shard(folder: Path, name: str, rows: Iterable[Sequence[Any]], run: str) -> int:
    """Put finished rows into the shard `name`, whole or not at all, over one of that name.

    Args:
        rows: their columns: position, id, status, reason, rules, tokens in, tokens out, the row as JSON.
        run: digest of what determined them.

    Returns:
        How many; where there is none, no file is written.

    Raises:
        StoreError: it cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    listed = list(rows)
    if not listed:
        return 0
    text, number = pa.string(), pa.int64()
    types = (number, text, text, text, text, number, number, text)
    columns = [pa.array(values, type_) for values, type_ in zip(zip(*listed, strict=True), types, strict=True)]
    names = [*_COLUMNS, "constitution", "run"]
    constitutions = pa.array([json.loads(item[7])["constitution"] for item in listed], text)
    table = pa.table([*columns, constitutions, pa.array([run] * len(listed), text)], names=names)
    path = folder / ROWS / f"{name}.parquet"
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            pq.write_table(table, file, compression="zstd", row_group_size=_BATCH)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise StoreError(
            f"`{path}` cannot be written: {error.strerror or error}", "make room and run the same command again"
        ) from error
    return len(listed)


def read_shard(folder: Path, name: str) -> Iterator[tuple[Any, ...]]:
    """The columns of every row in the shard `name`, as `write_shard` takes them; none where there is no such shard.

    Raises:
        StoreError: it is damaged.
    """
    path = folder / ROWS / f"{name}.parquet"
    if path.exists():
        for batch in _batches(path, list(_COLUMNS)):
            yield from zip(*(batch.column(column).to_pylist() for column in _COLUMNS), strict=True)


def ids_in(path: Path) -> set[str]:
    """Ids of the rows in a shard.

    Raises:
        StoreError: it is damaged.
    """
    return {row for batch in _batches(path, ["id"]) for row in batch.column("id").to_pylist()}


def finished_ids(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Id, digest of the constitution and digest of the run of every row in the shards.

    Raises:
        StoreError: a shard is damaged.
    """
    for path in shards_of(folder):
        for batch in _batches(path, ["id", "constitution", "run"]):
            yield from zip(*(batch.column(name).to_pylist() for name in ("id", "constitution", "run")), strict=True)


def made_in(folder: Path, session: str) -> tuple[int, int]:
    """Accepted and rejected rows in the shards of one run."""
    status: Counter[str] = Counter()
    for path in shards_of(folder):
        if path.name.startswith(f"{session}-"):
            for batch in _batches(path, ["status"]):
                status.update(batch.column("status").to_pylist())
    return status["accepted"], status["rejected"]


class Shards:
    """The rows of all shards as one; see `constitution.rows.Rows`."""

    def __init__(self, folder: Path, *, read_only: bool = True) -> None:
        """Open `folder`.

        Raises:
            StoreError: it holds no rows (`read_only`), or changed.sqlite is damaged.
        """
        self._folder = folder
        self._read_only = read_only
        if read_only and not shards_of(folder):
            raise StoreError(
                f"`{folder}` holds no finished rows", "let the run that writes it finish its first parcel of prompts"
            )
        path = folder / CHANGED
        self._changed: sqlite3.Connection | None = None
        try:
            if not read_only or path.exists():
                self._changed = sqlite3.connect(path, isolation_level=None, timeout=30, check_same_thread=False)
                self._changed.execute(
                    "CREATE TABLE IF NOT EXISTS changed (id TEXT PRIMARY KEY, row TEXT NOT NULL) WITHOUT ROWID"
                ) if not read_only else self._changed.execute("SELECT 1 FROM changed LIMIT 1")
        except sqlite3.Error as error:
            raise StoreError(f"`{path}` is damaged ({error})", "remove it and export again") from error

    def rows(
        self, *, status: str | None = None, reason: str | None = None, rule: str | None = None, row: str | None = None
    ) -> Iterator[Row]:
        """As RowStore.rows: by run, then in the order of the input."""
        for text, rules in self._texts(row):
            found = Row.model_validate_json(text)
            if status is not None and found.status != status:
                continue
            if reason is not None and (found.rejection is None or found.rejection.reason != reason):
                continue
            if rule is not None and rule not in rules.split():
                continue
            yield found

    def finals(self, reason: str) -> Iterator[tuple[str, str | None, str]]:
        """As RowStore.finals."""
        for text, _ in self._texts():
            row = json.loads(text)
            why = row["rejection"]["reason"] if row["rejection"] else None
            if why is None or why == reason:
                yield row["id"], why, row["final"] or ""

    def replace_row(self, row: Row) -> None:
        """Note how the row stands now; its shard stays as it is."""
        if self._changed is None or self._read_only:
            raise StoreError(f"`{self._folder}` was opened to be read", "open it to be written")
        try:
            self._changed.execute("INSERT OR REPLACE INTO changed VALUES (?, ?)", (row.id, row.model_dump_json()))
        except sqlite3.Error as error:
            raise StoreError(f"`{self._folder / CHANGED}` cannot be written ({error})", "make room") from error

    def counts(self) -> Counts:
        """As RowStore.counts; calls and tokens are those of the finished rows and of parcels at work."""
        status: Counter[str] = Counter()
        calls = prompt = completion = 0
        for text, _ in self._texts():
            row = json.loads(text)
            status[row["status"]] += 1
            calls += len(row["calls"])
            prompt += sum(call["tokens"]["prompt"] for call in row["calls"])
            completion += sum(call["tokens"]["completion"] for call in row["calls"])
        failed = 0
        for store in self._at_work():
            kept = store.counts()
            failed += kept.failed
            if not kept.accepted + kept.rejected:
                calls, prompt = calls + kept.calls, prompt + kept.tokens.prompt
                completion += kept.tokens.completion
        return Counts(status["accepted"], status["rejected"], failed, calls, Usage(prompt, completion))

    def tokens(self) -> int:
        """Tokens, in and out, of the finished rows."""
        found = 0
        for path in shards_of(self._folder):
            for batch in _batches(path, ["prompt_tokens", "completion_tokens"]):
                found += sum(sum(batch.column(name).to_pylist()) for name in ("prompt_tokens", "completion_tokens"))
        return found

    def reasons(self) -> dict[str, int]:
        """As RowStore.reasons."""
        found: Counter[str] = Counter()
        for text, _ in self._texts():
            rejection = json.loads(text)["rejection"]
            if rejection:
                found[rejection["reason"]] += 1
        return dict(found.most_common())

    def rules(self) -> dict[str, int]:
        """As RowStore.rules."""
        found: Counter[str] = Counter()
        for path in shards_of(self._folder):
            for batch in _batches(path, ["rules"]):
                for rules in batch.column("rules").to_pylist():
                    found.update(rules.split())
        return dict(found.most_common())

    def failures(self) -> list[tuple[str, Source, str]]:
        """As RowStore.failures: of the parcels that wait to be taken up again."""
        found = []
        for store in self._at_work():
            found += store.failures()
        return found

    def close(self) -> None:
        """Close what is open."""
        if self._changed is not None:
            self._changed.close()

    def _texts(self, row_id: str | None = None) -> Iterator[tuple[str, str]]:
        """Every row as it stands now, as JSON, and its rules; or only those whose id begins so."""
        for path in shards_of(self._folder):
            for batch in _batches(path, ["id", "row", "rules"]):
                ids, rows, rules = (batch.column(name).to_pylist() for name in ("id", "row", "rules"))
                changed = self._changed_of(ids)
                for found, text, of in zip(ids, rows, rules, strict=True):
                    if row_id is None or found.startswith(row_id):
                        yield (changed[found] if _same(changed.get(found), text) else text), of

    def _changed_of(self, ids: Sequence[str]) -> dict[str, str]:
        if self._changed is None:
            return {}
        query = "SELECT id, row FROM changed WHERE id IN (SELECT value FROM json_each(?))"
        try:
            return dict(self._changed.execute(query, (json.dumps(ids),)))
        except sqlite3.Error as error:
            path = self._folder / CHANGED
            raise StoreError(f"`{path}` is damaged ({error})", "remove it and export again") from error

    def _at_work(self) -> Iterator[RowStore]:
        for path in sorted((self._folder / WORK).glob(f"{_NAME}/{FILE}")):
            try:
                store = RowStore(path.parent, read_only=True)
            except StoreError:
                if path.exists():
                    raise
                continue  # its parcel was finished this moment
            with closing(store):
                yield store


def _same(changed: str | None, text: str) -> bool:
    """Whether a changed row is of the very row in the shard: one that was lost may have been made anew since."""
    if changed is None:
        return False
    one, other = json.loads(changed), json.loads(text)
    return all(one[key] == other[key] for key in ("started", "finished", "final"))


def _batches(path: Path, columns: list[str]) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            if missing := set(columns).difference(file.schema_arrow.names):
                raise KeyError(f"no column `{min(missing)}`")
            yield from file.iter_batches(batch_size=_BATCH, columns=columns)
    except (pa.ArrowException, OSError, KeyError) as error:
        what = " ".join(str(error).split())[:200]
        raise StoreError(
            f"`{path}` is no shard of rows, or is damaged ({what})",
            "put it back from a copy, or remove it: its rows are made anew by the next run",
        ) from error
