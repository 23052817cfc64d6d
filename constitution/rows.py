"""The kept rows of an output folder, however they lie there: in one SQLite file, or in Parquet shards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from constitution.row import Row, Source
from constitution.store import Counts, RowStore


class Rows(Protocol):
    """What reads, counts and marks kept rows; RowStore says what each of these does."""

    def rows(
        self, *, status: str | None = None, reason: str | None = None, rule: str | None = None, row: str | None = None
    ) -> Iterator[Row]:
        """Finished rows in order, one at a time."""

    def finals(self, reason: str) -> Iterator[tuple[str, str | None, str]]:
        """Id, reason of rejection and final answer of the rows that are accepted or rejected for `reason`."""

    def replace_row(self, row: Row) -> None:
        """Write a changed row over the kept one with its id."""

    def counts(self) -> Counts:
        """How much there is."""

    def reasons(self) -> dict[str, int]:
        """Reason of rejection -> rows, most first."""

    def rules(self) -> dict[str, int]:
        """Id of a rule -> rows in which it came up, most first."""

    def failures(self) -> list[tuple[str, Source, str]]:
        """Rows that could not be finished: id, source, error."""

    def close(self) -> None:
        """Close what is open."""


def open_rows(folder: Path, *, read_only: bool = True) -> Rows:
    """The rows of a folder, whatever engine made them.

    Raises:
        StoreError: the folder holds none, or they are damaged.
    """
    from constitution.sharded.shards import Shards, is_sharded

    if is_sharded(folder):
        return Shards(folder, read_only=read_only)
    return RowStore(folder, read_only=read_only)
