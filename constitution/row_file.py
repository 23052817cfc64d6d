"""The SQLite file of a folder of rows: opened, its faults explained, its write-ahead log folded back.

The file is in WAL mode: readers (`wardlaw rows`) look in while a run writes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

from rules.errors import WardlawError

FILE = "rows.sqlite"
"""Name of the file in an output folder."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS calls (
    key BLOB PRIMARY KEY, row TEXT NOT NULL, stage TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, reply TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS rows (
    position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, status TEXT NOT NULL, reason TEXT, rules TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, row TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS failures (
    id TEXT PRIMARY KEY, source TEXT NOT NULL, error TEXT NOT NULL, at REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS rows_by_status ON rows (status, reason);
"""
_VERSION = 1
_FOLD_EVERY = 2000
"""Calls after which the write-ahead log is folded back."""
_LONGEST_LOG = 64 * 2**20
"""Bytes from which the log is begun anew once it is folded back."""


class StoreError(WardlawError):
    """The row store cannot be read or written."""


class RowFile:
    """The open file. One writer at a time; `generate` holds a lock for that."""

    file: ClassVar[str] = FILE
    """Name of the file; a store of other rows has another."""

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        """Open the store of `folder`, or make one.

        Raises:
            StoreError: the folder holds none (`read_only`), or the file is broken or of another version.
        """
        self.path = folder / self.file
        self._commits = 0
        self._folding: Thread | None = None
        if read_only and not self.path.exists():
            raise StoreError(
                f"`{folder}` holds no rows", "name the folder that `wardlaw generate --out` wrote, as it stands there"
            )
        try:
            self._db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=30)
            self._prepare(read_only)
        except sqlite3.Error as error:
            raise self._explain(error) from error

    def _prepare(self, read_only: bool) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, _VERSION):
            raise StoreError(
                f"`{self.path}` is of version {version}; this wardlaw reads version {_VERSION}",
                "use the wardlaw that wrote it, or another output folder",
            )
        if read_only:
            self._db.execute("PRAGMA query_only = 1")
            self._db.execute("SELECT 1 FROM rows LIMIT 1")
            return
        # NORMAL: a commit is in the operating system's hands before the loop goes on, so a killed process loses
        # nothing; only a power cut can take back the last commits, and it takes them whole.
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("PRAGMA cache_size = -8192")  # KiB; with 2 MiB the keys of 8,000 calls fell out of it
        self._db.execute("PRAGMA wal_autocheckpoint = 0")  # `_fold` does it, where no row waits for its fsyncs
        self._db.executescript(_SCHEMA)
        self._db.execute(f"PRAGMA user_version = {_VERSION}")

    def _explain(self, error: sqlite3.Error) -> StoreError:
        what = str(error)
        if isinstance(error, sqlite3.OperationalError) and ("full" in what or "disk I/O" in what):
            return StoreError(
                f"the disk of `{self.path.parent}` is full or cannot be written ({what}); all rows so far are kept",
                "make room and run the same command again",
            )
        if "locked" in what:
            return StoreError(f"`{self.path}` is in use by another program", "end it and run again")
        if "readonly" in what or "unable to open" in what:
            return StoreError(f"`{self.path}` cannot be written ({what})", "choose another --out folder")
        return StoreError(f"`{self.path}` is no row store, or is damaged ({what})", "use another output folder")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._explain(error) from error

    def _select(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._explained():
            return self._db.execute(query, values).fetchall()

    def close(self) -> None:
        """Close the file."""
        if self._folding is not None:
            self._folding.join()
        self._db.close()

    def _fold_now_and_then(self) -> None:
        """Start to fold the write-ahead log back into the file, on a thread: its fsyncs take a tenth of a second."""
        self._commits += 1
        if self._commits >= _FOLD_EVERY and (self._folding is None or not self._folding.is_alive()):
            self._commits = 0
            self._folding = Thread(target=_fold, args=(self.path,), name="wardlaw-fold", daemon=True)
            self._folding.start()


def _fold(path: Path) -> None:
    with suppress(sqlite3.Error), closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as db:
        # What is in the log is kept as well as what is in the file; of a full disk the next write will tell.
        db.execute("PRAGMA wal_checkpoint(PASSIVE)")
        if path.with_name(f"{path.name}-wal").stat().st_size > _LONGEST_LOG:
            db.execute("PRAGMA wal_checkpoint(RESTART)")  # holds up writers, but only for what the first pass left
