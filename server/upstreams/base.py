"""The one protocol of an upstream: what the proxy sends it, what comes back, and what can go wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from rules.errors import WardlawError


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event."""

    raw: bytes
    """Its bytes as they came, the empty line at its end included: what is sent on where nothing is changed."""
    data: dict[str, Any] | None
    """Its data, where that is a JSON object."""
    name: str = ""
    """The event's own name; empty where it has none."""
    kind: str = "data"
    """`data`; `done` for the closing `[DONE]`; `comment` for a keep-alive line, which carries nothing."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A whole answer."""

    status: int
    body: bytes
    data: dict[str, Any]
    """The body's JSON object."""
    headers: Mapping[str, str]
    """Those that may be handed on: request ids and rate limits; names in lower case."""


class UpstreamFault(WardlawError):
    """The upstream gave no answer that can be used."""

    def __init__(
        self,
        status: int,
        kind: str,
        what: str,
        hint: str = "",
        *,
        retry_after: float | None = None,
        told: str = "",
        where: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """A fault.

        Args:
            status: what the client is told: 502 broken, 503 down, 504 late, 429 busy, or the upstream's own 4xx.
            kind: as in `server.dialects.base.Fault.kind`.
            what: for log and operator; no content, no secret.
            hint: for the operator.
            retry_after: seconds, where the upstream says so.
            told: what the upstream itself said in a 4xx; not scanned yet.
            where: the field of the request that is at fault, as `temperature`.
            headers: as in `Answered.headers`.
        """
        super().__init__(what, hint)
        self.status = status
        self.kind = kind
        self.retry_after = retry_after
        self.told = told
        self.where = where
        self.headers = headers or {}


class NotAStream(UpstreamFault):
    """A stream was asked for and a whole answer came: good as it is, where the caller can make a stream of it."""

    def __init__(self, answered: Answered) -> None:
        super().__init__(502, "upstream", "the upstream answers with a whole body where a stream was asked for")
        self.answered = answered


@runtime_checkable
class Buffered(Protocol):
    """Events that know whether the next of them has come."""

    @property
    def more(self) -> bool:
        """Whether nobody has to wait for the next event."""


class Upstream(Protocol):
    """A model behind the proxy."""

    @property
    def identity(self) -> str:
        """Kind and address; never a key."""

    def speaks(self, dialect: str) -> bool:
        """Whether it can be asked in this dialect."""

    async def ask(self, dialect: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> Answered:
        """Ask for a whole answer. A caller who is cancelled cancels the call to the model.

        Args:
            dialect: `chat_completions`, `messages` or `responses`.
            body: the request.
            headers: of the client, names in lower case; the upstream picks what it hands on.

        Raises:
            UpstreamFault: no usable answer.
        """

    def stream(
        self, dialect: str, body: Mapping[str, Any], headers: Mapping[str, str]
    ) -> AbstractAsyncContextManager[tuple[Mapping[str, str], AsyncIterator[Event]]]:
        """Ask for a stream. Leaving the context closes the call to the model at once.

        Returns:
            headers to hand on, and the events. The events end without a fault only where the stream ended as its API
            says (`[DONE]`, `message_stop`, `response.completed`); a stream that breaks off raises.

        Raises:
            UpstreamFault: on entering, no stream; while it is read, that it broke off.
            NotAStream: on entering: a whole answer came instead.
        """

    async def ready(self) -> bool:
        """Whether it answers at all; cheap, for `/readyz`."""

    async def passed(
        self, method: str, path: str, raw: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """Hand a request on that carries no conversation (`/v1/models`, `/v1/embeddings`): status, body, headers.

        Raises:
            UpstreamFault: no answer, or the upstream has no such thing.
        """

    async def close(self) -> None:
        """Close connections and models. May be called twice."""
