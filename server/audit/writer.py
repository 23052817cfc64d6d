"""Lines of journals into the database: batches that may be written twice with one result."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from server.audit import shadow
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
        shadows: dict[str, tuple[Any, ...]] = {}
        sources: dict[tuple[str, bool], bytes] = {}
        # Set aside only behind what is written: a batch comes again and again while the database is away.
        unfit = [(each, "its checksum is wrong") for each in broken]
        for payload in payloads:
            beside = shadow.is_shadow(payload)
            try:
                if beside:
                    values = shadow.decode(payload)
                    name = values[0]
                    shadows[name] = values
                else:
                    line = decode(payload, owner)
                    name = line.values[0]
                    lines[name] = line
            except (ValueError, UnicodeDecodeError) as error:
                unfit.append((payload, str(error)))
                continue
            sources[name, beside] = payload
        faults = _faults()
        try:
            if lines or shadows:
                self._insert(list(lines.values()), list(shadows.values()))
        except faults:
            # one of them: find it by writing each alone
            for (name, beside), source in sources.items():
                try:
                    if beside:
                        self._insert([], [shadows[name]])
                    else:
                        self._insert([lines[name]], [])
                except faults as error:
                    unfit.append((source, " ".join(str(getattr(error, "orig", None) or error).split())))
        for each, why in unfit:
            self._aside(each, why)

    def cut(self, owner: str) -> None:
        """Say of the decisions that a dead worker left open that their end is not known."""
        from sqlalchemy import text

        with self._database.begin() as connection:
            connection.execute(
                text("update decisions set state = 'cut' where state = 'open' and owner = :owner"), {"owner": owner}
            )

    def _insert(self, lines: Sequence[Line], shadows: Sequence[tuple[Any, ...]]) -> None:
        upsert, forget, add, beside = self._statements
        with self._database.begin() as connection:
            if lines:
                connection.exec_driver_sql(upsert, [line.values for line in lines])
                connection.exec_driver_sql(forget, [(line.values[0],) for line in lines])
            rules = [row for line in lines for row in line.rules]
            if rules:
                connection.exec_driver_sql(add, rules)
            if shadows:
                connection.exec_driver_sql(beside, list(shadows))

    def _aside(self, line: bytes, why: str) -> None:
        self.set_aside += 1
        path = self._folder / SET_ASIDE
        fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        try:
            os.write(fd, line.rstrip(b"\n") + b"\n")
        finally:
            os.close(fd)
        _LOG.error("a decision cannot be written to the database and is set aside in `%s`: %s", path, why[:300])


def _statements(database: Database) -> tuple[str, str, str, str]:
    """Insert or replace a decision; forget its rules; add them; insert or replace what a candidate said to it. In the
    words and marks of the driver."""
    mark = "?" if database.is_sqlite else "%s"
    return (
        _upsert("decisions", COLUMNS, "id", mark),
        f"delete from decision_rules where decision = {mark}",  # noqa: S608
        f"insert into decision_rules (decision, rule, at, enforced) values ({mark}, {mark}, {mark}, {mark})",  # noqa: S608
        _upsert("shadows", shadow.COLUMNS, "decision", mark),
    )


def _upsert(table: str, names: Sequence[str], key: str, mark: str) -> str:
    columns = ", ".join(f'"{name}"' for name in names)
    marks = ", ".join(mark for _ in names)
    later = ", ".join(f'"{name}" = excluded."{name}"' for name in names if name != key)
    return f"insert into {table} ({columns}) values ({marks}) on conflict ({key}) do update set {later}"  # noqa: S608


def _faults() -> tuple[type[Exception], ...]:
    """What a row itself can be at fault for; anything else is the database's, and is tried again."""
    from sqlalchemy.exc import StatementError  # those of the database as such come as AuditError

    return (StatementError, OverflowError, UnicodeError)
