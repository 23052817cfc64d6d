"""A client's key, as the server knows it: never the secret itself."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

PREFIX = "wlk"

SCOPES = ("chat", "moderate", "embed", "read", "feedback", "audit", "admin")
"""What a key may be allowed to do; `server.record.Caller` says what each means."""

USUAL = frozenset({"chat", "moderate", "embed", "read", "feedback"})
"""Scopes of a key for which none are named."""


@dataclass(frozen=True, slots=True)
class Key:
    """What a key stands for."""

    id: str
    """Eight hex characters; stands in audit rows, and in the key itself."""
    name: str
    """For people."""
    digest: str
    """SHA-256 of the whole key, as hex."""
    constitution: str = "default"
    """Name of the constitution that its requests are judged by."""
    scopes: frozenset[str] = USUAL
    requests_per_minute: int | None = None
    concurrent: int | None = None
    created: float = 0.0
    """Seconds since the epoch, as are the two below."""
    expires: float | None = None
    revoked: float | None = None

    def valid(self, now: float) -> bool:
        """Whether it may be used."""
        return self.revoked is None and (self.expires is None or now < self.expires)


def new_secret() -> tuple[str, str]:
    """A new key: its id, and the whole, `wlk_ID_SECRET`, of which 256 bits are random."""
    key_id = secrets.token_hex(4)
    return key_id, f"{PREFIX}_{key_id}_{secrets.token_urlsafe(32)}"


def digest(secret: str) -> str:
    """What is stored of a key.

    A fast hash is right here. Slow, salted ones protect passwords, since those are few and can be tried; of 2^256
    equally likely secrets none is ever found by trying, however fast, and each request has to be hashed once.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
