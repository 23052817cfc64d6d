"""The row store of a parcel at work; it also knows at which rows a worker died: those begun and never ended."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from constitution.row_file import StoreError
from constitution.sharded.shards import read_shard, write_shard
from constitution.store import RowStore
from guard.held import LOCK_FILE

_SCHEMA = """
CREATE TABLE IF NOT EXISTS taken_up (
    id TEXT PRIMARY KEY, at_work INTEGER NOT NULL, deaths INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS made_by (run TEXT NOT NULL);
"""
_WAIT_S = 30.0
GONE = "."
"""How the folder of a store that is being removed begins."""
_TRIES = 5


class ParcelStore(RowStore):
    """One writer at a time: the worker that has the parcel."""

    def __init__(self, folder: Path) -> None:
        """Open the store in `folder`, or make both.

        Raises:
            StoreError: it is broken, cannot be written, or another process has it and does not end.
        """
        import filelock

        self._folder = folder
        # A worker that was given up may live on for a moment; the system frees its lock when it dies. The lock is not
        # the thread's: stores are opened on one, so that the other parcels of a worker do not stand still meanwhile.
        self._lock = filelock.FileLock(folder / LOCK_FILE, timeout=_WAIT_S, thread_local=False)
        try:
            self._acquire()
        except filelock.Timeout:
            raise StoreError(
                f"another worker has `{folder}` and does not end", "end it, and run the same command again"
            ) from None
        except OSError as error:
            raise StoreError(
                f"`{folder}` cannot be written: {error.strerror or error}", "make room and run the same command again"
            ) from error
        try:
            super().__init__(folder)
            with self._explained():
                self._db.executescript(_SCHEMA)
        except BaseException:
            self._lock.release()
            raise

    @property
    def run(self) -> str:
        """Digest of what determines the rows; empty where it was not said."""
        return next((run for (run,) in self._select("SELECT run FROM made_by")), "")

    @run.setter
    def run(self, digest: str) -> None:
        with self._explained():
            self._db.execute("INSERT INTO made_by SELECT ? WHERE NOT EXISTS (SELECT 1 FROM made_by)", (digest,))

    def _acquire(self) -> None:
        """Have the lock; the one who had it may have removed the folder meanwhile."""
        for _ in range(_TRIES - 1):
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                self._lock.acquire()
            except FileNotFoundError:
                continue
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock.acquire()

    def close(self) -> None:
        """Close the store; another process may have it. May be called twice."""
        super().close()
        self._lock.release()

    def drop(self) -> None:
        """Close the store and remove it, while no other process has it.

        It goes as a whole, by another name: one who waits for its lock must not find half of it.
        """
        super().close()
        gone = self._folder.with_name(f"{GONE}{self._folder.name}.{os.getpid()}")
        with suppress(OSError):  # what stays holds nothing new: the next look removes it
            self._folder.rename(gone)
        self._lock.release()
        shutil.rmtree(gone, ignore_errors=True)

    def died(self) -> dict[str, int]:
        """Count a death for every row that was at work when the store was last left, and is not finished.

        Returns:
            Id of an unfinished row -> workers that died while it was at work.
        """
        with self._explained():
            self._db.execute("DELETE FROM taken_up WHERE id IN (SELECT id FROM rows)")
            self._db.execute("UPDATE taken_up SET deaths = deaths + 1, at_work = 0 WHERE at_work")
        return dict(self._select("SELECT id, deaths FROM taken_up"))

    def begin(self, row_id: str) -> None:
        """Note that a row is at work."""
        with self._explained():
            self._db.execute(
                "INSERT INTO taken_up VALUES (?, 1, 0) ON CONFLICT (id) DO UPDATE SET at_work = 1", (row_id,)
            )

    def end(self, row_id: str) -> None:
        """Note that a row is not at work any more, whatever came of it."""
        with self._explained():
            self._db.execute("DELETE FROM taken_up WHERE id = ?", (row_id,))

    def finished(self) -> set[str]:
        """Ids of the finished rows."""
        return {row_id for (row_id,) in self._select("SELECT id FROM rows")}

    def put_away(self, out: Path, name: str) -> None:
        """Put the finished rows into the shard `name` of the folder `out`, and keep what belongs to the others.

        Raises:
            StoreError: the shard cannot be written; the rows stay here.
        """
        if write_shard(out, name, self.placed(), self.run):
            self.forget(self.finished())

    def take_back(self, out: Path, name: str) -> None:
        """Take the rows of the shard `name` back, all or none, since it is to be written anew: those here may be fewer.

        A worker may die after it wrote its shard and before that was heard of.

        Raises:
            StoreError: the shard is damaged.
        """
        columns = list(read_shard(out, name))
        with self._explained():
            self._db.execute("BEGIN")
            try:
                self._db.executemany(
                    "INSERT OR IGNORE INTO rows (position, id, status, reason, rules, prompt_tokens,"
                    " completion_tokens, row) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    columns,
                )
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def take_calls(self, other: Path, rows: Collection[str]) -> None:
        """Take over the calls that another store holds for these rows.

        Raises:
            StoreError: the other store is damaged.
        """
        ids = json.dumps(sorted(rows))
        with self._explained():
            self._db.execute("ATTACH ? AS other", (str(other),))
            try:
                query = (
                    "INSERT OR IGNORE INTO calls SELECT * FROM other.calls"
                    " WHERE row IN (SELECT value FROM json_each(?))"
                )
                self._db.execute(query, (ids,))
            finally:
                self._db.execute("DETACH other")

    def unfinished(self) -> set[str]:
        """Ids of rows for which calls are kept and that are not finished."""
        return {row for (row,) in self._select("SELECT DISTINCT row FROM calls WHERE row NOT IN (SELECT id FROM rows)")}

    def known(self) -> set[str]:
        """Ids of all rows of which the store holds anything: themselves, calls, or that they could not be made."""
        query = "SELECT id FROM rows UNION SELECT row FROM calls UNION SELECT id FROM failures"
        return {row for (row,) in self._select(query)}

    def forget(self, rows: Collection[str]) -> None:
        """Drop all that is kept of these rows: they are finished elsewhere."""
        ids = json.dumps(sorted(rows))
        with self._explained():
            for table, column in (("rows", "id"), ("failures", "id"), ("calls", "row")):
                # S608: the names are those above.
                query = f"DELETE FROM {table} WHERE {column} IN (SELECT value FROM json_each(?))"  # noqa: S608
                self._db.execute(query, (ids,))

    def tokens_of(self, rows: Collection[str]) -> int:
        """Tokens, in and out, of the calls kept for these rows."""
        found = self._select("SELECT row, sum(prompt_tokens + completion_tokens) FROM calls GROUP BY row")
        return sum(tokens for row, tokens in found if row in rows)

    def placed(self) -> Iterator[tuple[int, str, str, str | None, str, int, int, str]]:
        """The columns of every finished row, in the order of the input."""
        yield from self._select(
            "SELECT position, id, status, reason, rules, prompt_tokens, completion_tokens, row FROM rows"
            " ORDER BY position"
        )
