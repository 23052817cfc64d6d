"""What the APIs that carry no conversation share: the caller, the bounds, the body, and errors in OpenAI's shape."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import orjson
from starlette.types import Receive, Scope, Send

from guard.exchange import Exchange
from rules.schema import Action
from server.dialects.base import Fault
from server.dialects.chat_completions.faults import fault_body
from server.parts import Parts
from server.proxy.call import NOT_TOLD, fault_headers
from server.proxy.http import JSON, Gone, Headers, Leaving, headers_of, read_body, send_whole
from server.proxy.refusals import fault_of, plain
from server.record import Caller
from server.upstreams.base import UpstreamFault

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of a known caller."""

    parts: Parts
    caller: Caller
    method: str
    path: str
    """With its query."""
    headers: Mapping[str, str]
    """Names in lower case."""
    raw: bytes

    @property
    def onward(self) -> dict[str, str]:
        """The headers that the upstream may see: never a key of ours."""
        ours = {"authorization", "x-api-key"} if self.caller.key else set()
        return {name: value for name, value in self.headers.items() if name not in ours}


@dataclass(frozen=True, slots=True)
class Told:
    """What is answered."""

    status: int
    body: bytes
    headers: Headers = field(default_factory=lambda: [JSON])


Handle: TypeAlias = Callable[[Asked], Awaitable[Told]]


class SmallEndpoint:
    """One such API, as an ASGI application."""

    def __init__(self, parts: Parts, scope: str, handle: Handle) -> None:
        """An endpoint. Args: scope: what a caller has to be allowed; handle: answers, or raises as `__call__` tells."""
        self._parts = parts
        self._scope = scope
        self._handle = handle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; whatever goes wrong is told in one line."""
        parts = self._parts
        limits = parts.settings.limits
        try:
            headers = headers_of(scope)
            caller = parts.door.caller(headers, self._scope)
            with parts.limits.enter(caller):
                raw = await read_body(receive, headers, limits.body_bytes, limits.body_s)
                asked = Asked(parts, caller, scope["method"], _path(scope), headers, raw)
                told = await self._answered(asked, receive)
        except Gone:
            return
        except UpstreamFault as error:
            _log.warning("%s: %s", parts.upstream.identity, plain(error))
            message = await self._message(error, caller) if error.told else error.what
            fault = Fault(error.status, error.kind, message, error.retry_after)
        except Exception as error:
            fault = fault_of(error, limits)
        else:
            await send_whole(send, told.status, told.headers, told.body)
            return
        parts.telemetry.failed(fault.kind)
        await send_whole(send, fault.status, fault_headers(fault), orjson.dumps(fault_body(fault)))

    async def _answered(self, asked: Asked, receive: Receive) -> Told:
        leaving = Leaving(receive)
        try:
            async with asyncio.timeout(asked.parts.settings.limits.seconds):
                return await self._handle(asked)
        except asyncio.CancelledError:
            if not leaving.uncancel():
                raise
            raise Gone from None
        finally:
            leaving.stop()

    async def _message(self, error: UpstreamFault, caller: Caller) -> str:
        """The upstream's own words, where they break no rule."""
        try:
            with self._parts.guards.lease(caller.constitution, caller.key) as guard:
                verdict = await guard.gate.ajudge(Exchange.of("", error.told))
        except Exception:  # the fault is told all the same, and none of what was not judged
            return NOT_TOLD
        return error.told if verdict.action is Action.ALLOW else NOT_TOLD


async def passed(asked: Asked) -> Told:
    """Hand a request on to the upstream, and its answer back.

    Raises:
        UpstreamFault: see `Upstream.passed`.
    """
    status, body, kept = await asked.parts.upstream.passed(asked.method, asked.path, asked.raw or None, asked.onward)
    told = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in kept.items()]
    typed = any(name.lower() == b"content-type" for name, _ in told)
    return Told(status, body, told if typed else [JSON, *told])


def _path(scope: Scope) -> str:
    """The path as it was asked for, escapes and all, so that the upstream sees the same."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope.get("query_string", b"")
    return (raw.partition(b"?")[0] + (b"?" + query if query else b"")).decode("latin-1")
