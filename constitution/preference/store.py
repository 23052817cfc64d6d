"""What survives a kill: every finished call, and every finished contest, in one SQLite file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from constitution.preference.contest import Outcome
from constitution.store import RowStore

_TABLE = """
CREATE TABLE IF NOT EXISTS outcomes (
    made TEXT NOT NULL, position INTEGER NOT NULL, id TEXT NOT NULL, outcome TEXT NOT NULL, PRIMARY KEY (made, id)
);
CREATE INDEX IF NOT EXISTS outcomes_by_place ON outcomes (made, position, id);
"""


class OutcomeStore(RowStore):
    """Calls and outcomes of one output folder. Outcomes are kept by what made them: other settings make others, from
    the same calls where these ask the same."""

    file = "preferences.sqlite"

    def __init__(self, folder: Path) -> None:
        """Open the store of `folder`, or make one.

        Raises:
            StoreError: the file is broken or of another version.
        """
        super().__init__(folder)
        with self._explained():
            self._db.executescript(_TABLE)

    def has_outcome(self, made: str, contest: str) -> bool:
        """Whether this contest is finished under these settings."""
        return bool(self._select("SELECT 1 FROM outcomes WHERE made = ? AND id = ?", made, contest))

    def keep_outcome(self, position: int, outcome: Outcome) -> None:
        """Keep a finished contest under its place in the input. Keeping it twice changes nothing.

        Raises:
            StoreError: the disk is full or cannot be written.
        """
        insert = "INSERT OR IGNORE INTO outcomes VALUES (?, ?, ?, ?)"
        self._finish(outcome.id, insert, (outcome.made, position, outcome.id, outcome.model_dump_json()))

    def outcomes(self, made: str) -> Iterator[Outcome]:
        """Finished contests in the order of the input, one at a time, however many there are."""
        query = (
            "SELECT position, id, outcome FROM outcomes WHERE made = ? AND (position, id) > (?, ?)"
            " ORDER BY position, id LIMIT 256"
        )
        last: tuple[int, str] = (-1, "")
        while page := self._select(query, made, *last):  # by pages: an open cursor would hold the log back
            for _, _, text in page:
                yield Outcome.model_validate_json(text)
            last = page[-1][0], page[-1][1]
