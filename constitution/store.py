"""What survives a kill: one SQLite file with every finished model call and every finished row.

A call or a row is committed before the loop goes on, each in one transaction, so after kill -9 the file holds a whole
row or none of it.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from constitution.replies import reply_from, reply_text
from constitution.row import Row, Source
from constitution.row_file import RowFile
from guard.models.base import Reply, Usage


@dataclass(frozen=True, slots=True)
class Counts:
    """How much a store holds."""

    accepted: int
    rejected: int
    failed: int
    """Rows put aside because a model could not answer; the next run takes them up again."""
    calls: int
    tokens: Usage


@dataclass(frozen=True, slots=True)
class MadeBy:
    """What made a row, as far as the row itself says."""

    constitution: str
    templates: str
    models: Mapping[str, str]
    sampling: Mapping[str, Mapping[str, float | int]]


class RowStore(RowFile):
    """The rows and calls of one output folder. One writer at a time; `generate` holds a lock for that."""

    # -- calls

    def reply(self, key: bytes) -> Reply | None:
        """The kept answer to a call, or None."""
        found = next(iter(self._select("SELECT reply FROM calls WHERE key = ?", key)), None)
        return None if found is None else reply_from(found[0])

    def keep_call(self, key: bytes, row: str, stage: str, reply: Reply) -> None:
        """Keep an answer; durable against kill -9 when this returns.

        Raises:
            StoreError: the disk is full or cannot be written.
        """
        values = (key, row, stage, reply.usage.prompt, reply.usage.completion, reply_text(reply))
        with self._explained():
            self._db.execute("INSERT OR IGNORE INTO calls VALUES (?, ?, ?, ?, ?, ?)", values)
        self._fold_now_and_then()

    # -- rows

    def made_by(self, row_id: str) -> MadeBy | None:
        """What made the finished row with this id, or None if no such row is finished."""
        query = (
            "SELECT row ->> '$.constitution', row ->> '$.templates', row -> '$.models', row -> '$.sampling'"
            " FROM rows WHERE id = ?"
        )
        for constitution, templates, models, sampling in self._select(query, row_id):
            return MadeBy(constitution, templates, json.loads(models), json.loads(sampling))
        return None

    def has_rows(self) -> bool:
        """Whether any row is finished."""
        return bool(self._select("SELECT 1 FROM rows LIMIT 1"))

    def keep_row(self, position: int, row: Row) -> None:
        """Keep a finished row under its place in the input. Keeping it twice changes nothing.

        Raises:
            StoreError: the disk is full or cannot be written.
        """
        values = (row.id, *_columns(row))
        # The place may be taken when prompt files were reordered between runs; then the row goes to the end.
        taken = self._select("SELECT 1 FROM rows WHERE position = ?", position)
        insert = (
            "INSERT OR IGNORE INTO rows (position, id, status, reason, rules, prompt_tokens,"
            " completion_tokens, row) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        )
        self._finish(row.id, insert, (None if taken else position, *values))

    def redo_row(self, row: Row) -> None:
        """Put a row that was made anew in the place of the kept one with its id, whole or not at all.

        Raises:
            StoreError: the disk is full or cannot be written.
        """
        update = (
            "UPDATE rows SET status = ?, reason = ?, rules = ?, prompt_tokens = ?, completion_tokens = ?, row = ?"
            " WHERE id = ?"
        )
        self._finish(row.id, update, (*_columns(row), row.id))

    def _finish(self, row_id: str, statement: str, values: tuple[object, ...]) -> None:
        """Write a finished row; it is no failure any more."""
        with self._explained():
            self._db.execute("BEGIN")
            try:
                self._db.execute(statement, values)
                self._db.execute("DELETE FROM failures WHERE id = ?", (row_id,))
                self._db.execute("COMMIT")
            except sqlite3.Error:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def replace_row(self, row: Row) -> None:
        """Write a changed row over the kept one with its id (the duplicates pass does)."""
        reason = row.rejection.reason if row.rejection else None
        with self._explained():
            self._db.execute(
                "UPDATE rows SET status = ?, reason = ?, row = ? WHERE id = ?",
                (row.status, reason, row.model_dump_json(), row.id),
            )

    def rows(
        self, *, status: str | None = None, reason: str | None = None, rule: str | None = None, row: str | None = None
    ) -> Iterator[Row]:
        """Finished rows in the order of the input, one at a time, however many there are.

        Args:
            status: only `accepted` or `rejected` ones.
            reason: only those rejected for this reason.
            rule: only those in which this rule came up.
            row: only the one whose id begins with this.
        """
        where, values = ["position > ?"], []
        for clause, value in (
            ("status = ?", status),
            ("reason = ?", reason),
            ("instr(' ' || rules || ' ', ' ' || ? || ' ')", rule),
            ("id GLOB ? || '*'", row),
        ):
            if value is not None:
                where.append(clause)
                values.append(value)
        # S608: the clauses are the literals above; what a person gives is bound.
        query = f"SELECT position, row FROM rows WHERE {' AND '.join(where)} ORDER BY position LIMIT 256"  # noqa: S608
        last = -1
        while True:  # by pages: an open cursor would keep the WAL from being cut back
            page = self._select(query, last, *values)
            if not page:
                return
            for _, text in page:
                yield Row.model_validate_json(text)
            last = page[-1][0]

    def finals(self, reason: str) -> Iterator[tuple[str, str | None, str]]:
        """Id, reason of rejection and final answer of the rows that are accepted or rejected for `reason`, in order."""
        query = (
            "SELECT position, id, reason, row ->> '$.final' FROM rows WHERE position > ?"
            " AND (reason IS NULL OR reason = ?) ORDER BY position LIMIT 256"
        )
        last = -1
        while page := self._select(query, last, reason):
            for _, row_id, why, final in page:
                yield row_id, why, final or ""
            last = page[-1][0]

    # -- failures

    def keep_failure(self, row_id: str, source: Source, error: str) -> None:
        """Note that a row could not be finished; the next run takes it up again."""
        with self._explained():
            self._db.execute(
                "INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?)",
                (row_id, source.model_dump_json(), error, time.time()),
            )

    def failures(self) -> list[tuple[str, Source, str]]:
        """Rows that could not be finished: id, source, error."""
        found = self._select("SELECT id, source, error FROM failures ORDER BY at")
        return [(row_id, Source.model_validate_json(source), error) for row_id, source, error in found]

    def counts(self) -> Counts:
        """How much is in the store."""
        by_status = dict(self._select("SELECT status, count(*) FROM rows GROUP BY status"))
        ((calls, prompt, completion),) = self._select(
            "SELECT count(*), coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0) FROM calls"
        )
        ((failed,),) = self._select("SELECT count(*) FROM failures")
        return Counts(
            by_status.get("accepted", 0), by_status.get("rejected", 0), failed, calls, Usage(prompt, completion)
        )

    def reasons(self) -> dict[str, int]:
        """Reason of rejection -> rows, most first."""
        query = "SELECT reason, count(*) FROM rows WHERE status = 'rejected' GROUP BY reason ORDER BY 2 DESC"
        return dict(self._select(query))

    def rules(self) -> dict[str, int]:
        """Id of a rule -> rows in which it came up, most first."""
        found: Counter[str] = Counter()
        for rules, count in self._select("SELECT rules, count(*) FROM rows GROUP BY rules"):
            for rule in rules.split():
                found[rule] += count
        return dict(found.most_common())


def _columns(row: Row) -> tuple[object, ...]:
    """Status, reason, rules, tokens and the row itself, as they are kept."""
    rules = " ".join(dict.fromkeys(round_.rule for round_ in row.rounds))
    reason = row.rejection.reason if row.rejection else None
    tokens = row.tokens
    return row.status, reason, rules, tokens.prompt, tokens.completion, row.model_dump_json()
