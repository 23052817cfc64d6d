"""One handled request, as audit, metrics and log are told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from guard.guarding.decision import Decision
from guard.guarding.incoming import Incoming
from guard.window.outcomes import Channel


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: what a client's key stands for."""

    key: str = ""
    """The key's id, never the key; empty where keys are off."""
    constitution: str = "default"
    """Name of the constitution that it is judged by."""
    scopes: frozenset[str] = frozenset({"chat", "moderate", "embed", "read", "feedback"})
    """What it may do: `chat`, `moderate`, `embed`, `read` (its own decisions), `feedback`, `audit` (all
    decisions), `admin`."""


@dataclass(frozen=True, slots=True)
class Record:
    """A decision, and what surrounds it."""

    decision: Decision
    caller: Caller
    api: str
    """Name of the dialect, or of the API: `moderations`."""
    model: str = ""
    """As the client named it."""
    streamed: bool = False
    status: int = 200
    """HTTP status that the client was told."""
    seconds: float = 0.0
    """From the request's last byte to the answer's last."""
    first_s: float | None = None
    """Seconds to the first byte of a stream's text."""
    upstream_s: float = 0.0
    fault: str = ""
    """Kind of the error that the client was told, where it was one; `client_gone` where it left."""
    prompt: Incoming | None = None
    answers: tuple[Mapping[Channel, str], ...] = field(default=())
    """What the client was sent, a mapping a choice. Kept only as far as the audit's content setting says."""
