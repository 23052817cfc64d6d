"""The parts that a server is put together from, by what the proxy and the APIs use of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from guard.guard import Guard
from rules.errors import WardlawError
from server.record import Caller, Record
from server.running import Running
from server.upstreams.base import Upstream

if TYPE_CHECKING:
    from server.audit import Audit
    from server.settings import ServerSettings
    from server.shadow.given import Given, Look


class Denied(WardlawError):
    """The caller may not do this: 401 without a valid key, 403 without the scope."""

    def __init__(self, status: int, what: str, hint: str = "") -> None:
        super().__init__(what, hint)
        self.status = status


class Busy(WardlawError):
    """The caller, or the server, has too much in hand: 429."""

    def __init__(self, what: str, retry_after: float, hint: str = "") -> None:
        super().__init__(what, hint)
        self.retry_after = retry_after


class AuditFailed(WardlawError):
    """A decision cannot be kept, and the settings say that then the request fails."""


class Door(Protocol):
    """Knows callers by their keys."""

    def caller(self, headers: Mapping[str, str], scope: str) -> Caller:
        """Who asks.

        Args:
            headers: names in lower case; `authorization: Bearer` or `x-api-key` carries the key.
            scope: what is wanted.

        Raises:
            Denied: no key, an unknown one, one that was revoked, or one without the scope.
        """


class Limits(Protocol):
    """Bounds on what is in hand."""

    def enter(self, caller: Caller) -> AbstractContextManager[None]:
        """Count a request in, and out again.

        Raises:
            Busy: on entering.
        """


class Guards(Protocol):
    """The constitutions in force."""

    def lease(self, name: str, key: str = "") -> AbstractContextManager[Guard]:
        """The guard of a constitution as it is now, for a key; it is not closed before the lease ends, whatever is
        reloaded."""


class Shadow(Protocol):
    """Candidates judged beside what is in force. Everything here costs microseconds and never raises."""

    def collects(self, constitution: str) -> Given | None:
        """What the texts of a model's answers are to be put into; None where the request is not to be judged again."""

    def offer(self, record: Record, looks: Callable[[], list[Look]]) -> None:
        """A request has been handled: judge its texts again, when there is time. Args: looks: makes the texts."""


class Trace(Protocol):
    """A request's trace."""

    headers: Mapping[str, str]
    """To be sent upstream."""


class Telemetry(Protocol):
    """Metrics, log and traces. Everything here costs microseconds and never raises."""

    def begin(self, headers: Mapping[str, str]) -> Trace | None:
        """Go on with the caller's trace, or begin one; None where traces are off."""

    def decided(self, record: Record, trace: Trace | None) -> None:
        """A request has been handled."""

    def first(self, added_s: float) -> None:
        """The first text of a stream left so many seconds after it had come."""

    def held(self, characters: int) -> None:
        """So many characters of a stream were held at most."""

    def failed(self, kind: str) -> None:
        """A request was refused or failed, and no decision tells of it. The kinds are those of
        `server.dialects.base.Fault`."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything a server is made of."""

    settings: ServerSettings
    guards: Guards
    upstream: Upstream
    audit: Audit
    door: Door
    limits: Limits
    telemetry: Telemetry
    running: Running = field(default_factory=Running)
    shadow: Shadow | None = None
