"""Lines of journals into the database: batches that may be written twice with one result."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from server.audit.row import COLUMNS, Line, decode

if TYPE_CHECKING:
    from server.audit.database import Database

_LOG = logging.getLogger("wardlaw.audit")

SET_ASIDE = "set-aside.lines"
"""File in the folder of journals with lines that the database does not take."""


class Writer:
    """Writes lines to a database; one that cannot be written is set aside and never stops the rest."""

    def __init__(self, database: Database, folder: Path) -> None:
        """Args: folder: where lines that are set aside go."""
        self._database = database
        self._folder = folder
        self._statements = _statements(database)
        self.set_aside = 0
        """Lines that were set aside."""

    def write(self, payloads: Sequence[bytes], broken: Sequence[bytes], owner: str) -> None:
        """Write lines in one transaction.

        Args:
            payloads: of lines, in their order; a later one replaces an earlier one of the same decision.
            broken: lines that are no lines.
            owner: the journal.

        Raises:
            AuditError: the database cannot be used; nothing was written.
            OSError: a line could not be set aside.
        """
        lines: dict[str, Line] = {}
        sources: dict[str, bytes] = {}
        # Set aside only behind what is written: a batch comes again and again while the database is away.
        unfit = [(each, "its checksum is wrong") for each in broken]
        for payload in payloads:
            try:
                line = decode(payload, owner)
            except (ValueError, UnicodeDecodeError) as error:
                unfit.append((payload, str(error)))
                continue
            lines[line.values[0]] = line
            sources[line.values[0]] = payload
        faults = _faults()
        try:
            if lines:
                self._insert(list(lines.values()))
        except faults:
            # one of them: find it by writing each alone
            for name, line in lines.items():
                try:
                    self._insert([line])
                except faults as error:
                    unfit.append((sources[name], " ".join(str(getattr(error, "orig", None) or error).split())))
        for each, why in unfit:
            self._aside(each, why)

    def cut(self, owner: str) -> None:
        """Say of the decisions that a dead worker left open that their end is not known."""
        from sqlalchemy import text

        with self._database.begin() as connection:
            connection.execute(
                text("update decisions set state = 'cut' where state = 'open' and owner = :owner"), {"owner": owner}
            )

    def _insert(self, lines: Sequence[Line]) -> None:
        upsert, forget, add = self._statements
        with self._database.begin() as connection:
            connection.exec_driver_sql(upsert, [line.values for line in lines])
            connection.exec_driver_sql(forget, [(line.values[0],) for line in lines])
            rules = [row for line in lines for row in line.rules]
            if rules:
                connection.exec_driver_sql(add, rules)

    def _aside(self, line: bytes, why: str) -> None:
        self.set_aside += 1
        path = self._folder / SET_ASIDE
        fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        try:
            os.write(fd, line.rstrip(b"\n") + b"\n")
        finally:
            os.close(fd)
        _LOG.error("a decision cannot be written to the database and is set aside in `%s`: %s", path, why[:300])


def _statements(database: Database) -> tuple[str, str, str]:
    """Insert or replace a decision; forget its rules; add them. In the words and marks of the driver."""
    mark = "?" if database.is_sqlite else "%s"
    columns = ", ".join(f'"{name}"' for name in COLUMNS)
    marks = ", ".join(mark for _ in COLUMNS)
    later = ", ".join(f'"{name}" = excluded."{name}"' for name in COLUMNS if name != "id")
    return (
        f"insert into decisions ({columns}) values ({marks}) on conflict (id) do update set {later}",  # noqa: S608
        f"delete from decision_rules where decision = {mark}",  # noqa: S608
        f"insert into decision_rules (decision, rule, at, enforced) values ({mark}, {mark}, {mark}, {mark})",  # noqa: S608
    )


def _faults() -> tuple[type[Exception], ...]:
    """What a row itself can be at fault for; anything else is the database's, and is tried again."""
    from sqlalchemy.exc import StatementError  # those of the database as such come as AuditError

    return (StatementError, OverflowError, UnicodeError)
