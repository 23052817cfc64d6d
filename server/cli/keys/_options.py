"""What the commands on keys share: where keys are kept."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from server.keys.store import KeyStore


@contextlib.contextmanager
def opened(database: str, folder: Path, *, make: bool = False) -> Iterator[KeyStore]:
    """The store of keys, in the server's database. Args: make: make a SQLite file where there is none.

    Raises:
        AuditError: there is no such database, or it cannot be used.
    """
    from server.audit.database import database_url
    from server.cli.audit._options import must_exist, tell_default
    from server.keys.store import KeyStore

    if not make:
        must_exist(database, folder)
    tell_default(database, folder)
    store = KeyStore(database_url(database, folder))
    try:
        yield store
    finally:
        store.close()
