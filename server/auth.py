"""The door: who asks, by their key.

Keys are compared by their SHA-256: the store holds nothing else, and a look-up by digest takes as long for a key that
is almost right as for any other.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from server.parts import Denied
from server.record import Caller

if TYPE_CHECKING:
    from server.keys.key import Key

_log = logging.getLogger(__name__)

_LONGEST = 512
"""Characters of a key that are looked at."""
_NOBODY: tuple[None, float] = (None, 0.0)
_ANYBODY = Caller(scopes=frozenset({"chat", "moderate", "embed", "read", "feedback", "audit"}))


class Keys(Protocol):
    """Where keys are stored: `server.keys.store.KeyStore`."""

    def all(self) -> Iterable[Key]:
        """All keys, revoked ones too. Blocks."""

    def close(self) -> None:
        """Let go of the database. May be called twice."""


class OpenDoor:
    """Lets everybody in, as the same caller. For servers that only this machine can reach."""

    def caller(self, headers: Mapping[str, str], scope: str) -> Caller:
        """Anybody; `admin` is refused here, since it depends on where a request comes from: see `apis.admin`.

        Raises:
            Denied: the scope is not for everybody.
        """
        if scope not in _ANYBODY.scopes:
            raise Denied(403, f"nobody has the scope `{scope}` here", "set `auth: keys`, and make a key with the scope")
        return _ANYBODY

    def key(self, key_id: str) -> Key | None:
        """There are no keys."""
        return None


class KeyDoor:
    """Lets in who has a key. All keys are held in memory; a database that is gone leaves the last ones in force."""

    def __init__(self, store: Keys, refresh_s: float = 5.0, constitutions: Collection[str] = ()) -> None:
        """A door that knows nobody before `load`.

        Args:
            store: where keys are.
            refresh_s: seconds until they are read anew.
            constitutions: those in force; keys of others are warned of. Empty: nothing is known of them.
        """
        self._store = store
        self._refresh_s = refresh_s
        self._constitutions = frozenset(constitutions)
        self._warned: frozenset[str] | None = None
        """Ids of the keys of which was warned; None before the first load."""
        self._callers: dict[bytes, tuple[Caller, float]] = {}
        self._keys: dict[str, Key] = {}
        self.fault = ""
        """Why the keys could not be read anew; empty while they can."""

    def caller(self, headers: Mapping[str, str], scope: str) -> Caller:
        """Who asks, by `authorization: Bearer` or `x-api-key`.

        Raises:
            Denied: no key, an unknown or revoked one, or one without the scope.
        """
        given = _given(headers)
        if not given:
            raise Denied(401, "a key is needed", "send it as `authorization: Bearer ...` or `x-api-key`")
        digest = hashlib.sha256(given.encode("utf-8", "surrogatepass")).digest()
        caller, expires = self._callers.get(digest, _NOBODY)
        if caller is None or expires <= time.time():
            raise Denied(
                401, "the key is not known, was revoked or has expired", "ask who runs this server for another"
            )
        if scope not in caller.scopes:
            raise Denied(403, f"the key has no scope `{scope}`", "ask who runs this server for one that has it")
        return caller

    def key(self, key_id: str) -> Key | None:
        """The key with an id, for its limits."""
        return self._keys.get(key_id)

    def load(self) -> None:
        """Read all keys anew. Blocks.

        Raises:
            Exception: whatever the store raises.
        """
        now = time.time()
        valid = [key for key in self._store.all() if key.valid(now)]
        callers = {
            bytes.fromhex(key.digest): (
                Caller(key.id, key.constitution, frozenset(key.scopes)),
                math.inf if key.expires is None else key.expires,
            )
            for key in valid
        }
        self._keys = {key.id: key for key in valid}
        self._callers = callers
        self._warn(valid)

    def _warn(self, valid: Sequence[Key]) -> None:
        """Say once of each key that it opens nothing, and at the start that there is none."""
        if not valid and self._warned is None:
            _log.warning("there is no valid key, so nobody is let in: `wardlaw keys add NAME` makes one")
        lost = [key for key in valid if self._constitutions and key.constitution not in self._constitutions]
        for key in lost:
            if key.id not in (self._warned or ()):
                names = ", ".join(f"`{name}`" for name in sorted(self._constitutions))
                what = "the key %s names the constitution `%s`, which is not in force: it opens nothing; in force: %s"
                _log.warning(what, key.id, key.constitution, names)
        self._warned = frozenset(key.id for key in lost)

    def close(self) -> None:
        """Let go of the store; the keys that are known stay so. May be called twice."""
        self._store.close()

    async def refresh(self) -> None:
        """Read all keys anew every few seconds, until it is cancelled."""
        while True:
            await asyncio.sleep(self._refresh_s)
            try:
                await asyncio.to_thread(self.load)
            except Exception as error:
                if not self.fault:
                    _log.error("keys cannot be read, the last ones stay in force: %s", error)
                self.fault = str(error).partition("\n")[0] or type(error).__name__
            else:
                if self.fault:
                    _log.info("keys are read again")
                self.fault = ""


def _given(headers: Mapping[str, str]) -> str:
    kind, _, given = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and given.strip():
        return given.strip()[:_LONGEST]
    return headers.get("x-api-key", "").strip()[:_LONGEST]
