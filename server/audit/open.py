"""The audit, from its settings."""

from __future__ import annotations

import logging
from pathlib import Path

from server.audit.database import Database
from server.audit.errors import Unreachable
from server.audit.journal import Journal
from server.audit.keeper import Keeper
from server.audit.settings import AuditSettings

_LOG = logging.getLogger("wardlaw.audit")

JOURNALS = "journal"
"""Folder of the journals in the server's folder."""


def open_audit(settings: AuditSettings, *, url: str, folder: Path, worker: str) -> Keeper:
    """Open the audit of one worker: migrate the database, begin a journal, drain what dead workers left.

    A database that does not answer stops nothing where decisions are kept by the journal: they wait there.

    Args:
        settings: what is kept, and how surely.
        url: of the database, as `database_url` gives it.
        folder: the server's; journals lie in it, so it must outlast the process.
        worker: a name for logs; two workers may have the same.

    Raises:
        AuditError: the database or the folder cannot be used.
    """
    database = Database(url, fsync=settings.fsync)
    try:
        _prepare(database, settings)
        journal = Journal(folder / JOURNALS, worker, settings.journal_bytes, fsync=settings.fsync)
    except BaseException:
        database.close()
        raise
    return Keeper(settings, database, journal)


def _prepare(database: Database, settings: AuditSettings) -> None:
    try:
        database.ready()
    except Unreachable as error:
        if settings.write == "database":
            raise
        _LOG.error("decisions wait in the journal: %s", error.what)
