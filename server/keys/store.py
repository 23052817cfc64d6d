"""Keys in the server's database."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rules.errors import WardlawError
from rules.words import did_you_mean, quoted
from server.audit.database import Database
from server.keys.key import SCOPES, USUAL, Key, digest, new_secret

if TYPE_CHECKING:
    from sqlalchemy import Row


class KeyFault(WardlawError):
    """A key cannot be made, or there is none of that id."""


class KeyStore:
    """The keys of a database."""

    def __init__(self, url: str) -> None:
        """Nothing is connected yet.

        Args:
            url: as `server.audit.database.Database` takes it.

        Raises:
            AuditError: it is of no known kind.
        """
        self._database = Database(url)

    def all(self) -> list[Key]:
        """All keys, also those that were revoked or have expired, oldest first.

        Raises:
            AuditError: the database cannot be used.
        """
        from sqlalchemy import select

        from server.audit.tables import KEYS

        with self._database.read() as connection:
            return [_key(row) for row in connection.execute(select(KEYS).order_by(KEYS.c.created, KEYS.c.id))]

    def add(
        self,
        name: str,
        *,
        constitution: str = "default",
        scopes: Iterable[str] = USUAL,
        requests_per_minute: int | None = None,
        concurrent: int | None = None,
        expires: float | None = None,
    ) -> tuple[Key, str]:
        """Make a key.

        Args:
            name: for people.
            constitution: what its requests are judged by.
            scopes: what it may do.
            requests_per_minute: at most; None: no limit.
            concurrent: requests in hand at most; None: no limit.
            expires: seconds since the epoch.

        Returns:
            the key, and its secret: the only time that anyone sees it.

        Raises:
            KeyFault: a scope is unknown, the name is empty, or a limit is not positive.
            AuditError: the database cannot be used.
        """
        from sqlalchemy import insert

        from server.audit.tables import KEYS

        asked = frozenset(scopes)
        for scope in sorted(asked - set(SCOPES)):
            hint = did_you_mean(scope, SCOPES)
            raise KeyFault(f"unknown scope {quoted(scope)}", hint)
        name = name.strip()
        if not name or not name.isprintable() or len(name) > 200:
            raise KeyFault(f"a key cannot be named {quoted(name)}", "give a name of 1 to 200 printable characters")
        for limit in (requests_per_minute, concurrent):
            if limit is not None and limit < 1:
                raise KeyFault(f"a limit of `{limit}` lets nothing through", "give 1 or more, or no limit")
        key_id, secret = new_secret()
        key = Key(
            key_id,
            name,
            digest(secret),
            constitution,
            asked,
            requests_per_minute,
            concurrent,
            time.time(),
            expires,
        )
        values = {field: getattr(key, field) for field in Key.__slots__}
        with self._database.begin() as connection:
            connection.execute(insert(KEYS).values({**values, "scopes": " ".join(sorted(asked))}))
        return key, secret

    def revoke(self, key_id: str) -> Key:
        """Let a key open nothing any more, from when servers look next. One that was revoked stays so.

        Raises:
            KeyFault: there is no such key.
            AuditError: the database cannot be used.
        """
        from sqlalchemy import select, update

        from server.audit.tables import KEYS

        of_id = KEYS.c.id == key_id
        with self._database.begin() as connection:
            connection.execute(update(KEYS).where(of_id, KEYS.c.revoked.is_(None)).values(revoked=time.time()))
            row = connection.execute(select(KEYS).where(of_id)).first()
            if row is None:
                known = list(connection.execute(select(KEYS.c.id)).scalars())
                raise KeyFault(f"no key {quoted(key_id)}", _hint(key_id, known))
        return _key(row)

    def close(self) -> None:
        """Close the database. May be called twice."""
        self._database.close()


def _hint(key_id: str, known: list[str]) -> str:
    if key_id.startswith("wlk_"):  # the secret itself: its id is in it, and it need not be repeated
        return "give the eight characters after `wlk_`"
    return did_you_mean(key_id, known, "`wardlaw keys list` shows the ids")


def _key(row: Row[Any]) -> Key:
    values = dict(row._mapping)
    return Key(**{**values, "scopes": frozenset(values["scopes"].split())})
