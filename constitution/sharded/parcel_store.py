"""The row store of a parcel at work; it also knows at which rows a worker died: those begun and never ended."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from constitution.row_file import StoreError
from constitution.run import LOCK_FILE
from constitution.store import RowStore

_SCHEMA = """
CREATE TABLE IF NOT EXISTS begun (id TEXT PRIMARY KEY, deaths INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS made_by (run TEXT NOT NULL);
"""
_AT_ONCE = 500
_WAIT_S = 30.0


class ParcelStore(RowStore):
    """One writer at a time: the worker that has the parcel."""

    def __init__(self, folder: Path) -> None:
        """Open the store in `folder`, or make both.

        Raises:
            StoreError: it is broken, cannot be written, or another process has it and does not end.
        """
        import filelock

        folder.mkdir(parents=True, exist_ok=True)
        # A worker that was given up may live on for a moment; the system frees its lock when it dies.
        self._lock = filelock.FileLock(folder / LOCK_FILE, timeout=_WAIT_S)
        try:
            self._lock.acquire()
        except filelock.Timeout:
            raise StoreError(
                f"another worker has `{folder}` and does not end", "end it, and run the same command again"
            ) from None
        try:
            super().__init__(folder)
        except BaseException:
            self._lock.release()
            raise
        with self._explained():
            self._db.executescript(_SCHEMA)

    @property
    def run(self) -> str:
        """Digest of what determines the rows; empty where it was not said."""
        return next((run for (run,) in self._select("SELECT run FROM made_by")), "")

    @run.setter
    def run(self, digest: str) -> None:
        with self._explained():
            self._db.execute("INSERT INTO made_by SELECT ? WHERE NOT EXISTS (SELECT 1 FROM made_by)", (digest,))

    def close(self) -> None:
        """Close the store; another process may have it."""
        super().close()
        self._lock.release()

    def died(self) -> dict[str, int]:
        """Count a death for every row that was begun and is not finished.

        Returns:
            Id of such a row -> workers that died while it was at work.
        """
        with self._explained():
            self._db.execute("DELETE FROM begun WHERE id IN (SELECT id FROM rows)")
            self._db.execute("UPDATE begun SET deaths = deaths + 1")
        return dict(self._select("SELECT id, deaths FROM begun"))

    def begin(self, row_id: str) -> None:
        """Note that a row is at work."""
        with self._explained():
            self._db.execute("INSERT OR IGNORE INTO begun VALUES (?, 0)", (row_id,))

    def end(self, row_id: str) -> None:
        """Note that a row is not at work any more, whatever came of it."""
        with self._explained():
            self._db.execute("DELETE FROM begun WHERE id = ?", (row_id,))

    def finished(self) -> set[str]:
        """Ids of the finished rows."""
        return {row_id for (row_id,) in self._select("SELECT id FROM rows")}

    def take_calls(self, other: Path, rows: Collection[str]) -> None:
        """Take over the calls that another store holds for these rows.

        Raises:
            StoreError: the other store is damaged.
        """
        ids = list(rows)
        with self._explained():
            self._db.execute("ATTACH ? AS other", (str(other),))
            try:
                for start in range(0, len(ids), _AT_ONCE):
                    part = ids[start : start + _AT_ONCE]
                    marks = ", ".join("?" * len(part))
                    # S608: only question marks are put into the text.
                    query = f"INSERT OR IGNORE INTO calls SELECT * FROM other.calls WHERE row IN ({marks})"  # noqa: S608
                    self._db.execute(query, part)
            finally:
                self._db.execute("DETACH other")

    def unfinished(self) -> set[str]:
        """Ids of rows for which calls are kept and that are not finished."""
        return {row for (row,) in self._select("SELECT DISTINCT row FROM calls WHERE row NOT IN (SELECT id FROM rows)")}

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
