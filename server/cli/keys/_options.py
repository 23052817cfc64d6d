"""What the commands on keys share: where keys are kept."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from server.keys.store import KeyStore


@contextlib.contextmanager
def opened(database: str, folder: Path) -> Iterator[KeyStore]:
    """The store of keys, in the server's database; a SQLite file is made where it is not there.

    Raises:
        AuditError: the database cannot be used.
    """
    from server.audit.database import database_url
    from server.keys.store import KeyStore

    store = KeyStore(database_url(database, folder))
    try:
        yield store
    finally:
        store.close()
