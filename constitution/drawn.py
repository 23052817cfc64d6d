"""Which prompts of an input were drawn already."""

from __future__ import annotations

import sqlite3

from constitution.row_file import StoreError


class Drawn:
    """The ids drawn so far, on disk where they are many: a set of a hundred million of them would fill the memory."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)  # a private file that spills to disk and deletes itself
        self._db.executescript("CREATE TABLE drawn (id TEXT PRIMARY KEY) WITHOUT ROWID; BEGIN;")

    def first(self, row_id: str) -> bool:
        """Whether the id comes for the first time.

        Raises:
            StoreError: the disk for temporary files is full.
        """
        try:
            return self._db.execute("INSERT OR IGNORE INTO drawn VALUES (?)", (row_id,)).rowcount == 1
        except sqlite3.Error as error:
            raise StoreError(
                f"the ids of the prompts cannot be kept in the folder for temporary files ({error})",
                "make room there, or set SQLITE_TMPDIR to a folder with room, and run the same command again",
            ) from error

    def close(self) -> None:
        """Drop everything."""
        self._db.close()
