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
from rules.errors import WardlawError
from rules.schema import Action
from server.dialects.base import BadRequest, Fault
from server.dialects.chat_completions.faults import fault_body
from server.parts import AuditFailed, Busy, Denied, Parts
from server.proxy.call import NOT_TOLD, fault_headers
from server.proxy.http import (
    JSON,
    Gone,
    Headers,
    Leaving,
    TooLarge,
    TooSlow,
    headers_of,
    read_body,
    send_whole,
)
from server.record import Caller
from server.upstreams.base import UpstreamFault

_log = logging.getLogger(__name__)

_BODY_S = 60.0
_PATIENCE_S = 0.25


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
        try:
            headers = headers_of(scope)
            caller = parts.door.caller(headers, self._scope)
            with parts.limits.enter(caller):
                raw = await read_body(receive, headers, parts.settings.limits.body_bytes, _BODY_S)
                asked = Asked(parts, caller, scope["method"], _path(scope), headers, raw)
                told = await self._answered(asked, receive)
            await send_whole(send, told.status, told.headers, told.body)
            return
        except Gone:
            return
        except Denied as error:
            fault = Fault(error.status, "authentication" if error.status == 401 else "permission", _plain(error))
        except Busy as error:
            fault = Fault(429, "rate_limit", _plain(error), error.retry_after)
        except TooLarge:
            limit = parts.settings.limits.body_bytes
            what = f"the request's body has more than {limit} bytes, the most this server takes"
            fault = Fault(413, "too_large", what)
        except TooSlow:
            fault = Fault(408, "timeout", f"the request's body did not come within {_BODY_S:g} s")
        except BadRequest as error:
            fault = Fault(400, "invalid_request", _plain(error), where=error.where)
        except TimeoutError:
            fault = Fault(504, "timeout", f"the request took longer than {parts.settings.limits.seconds:g} s")
        except UpstreamFault as error:
            _log.warning("upstream: %s", error.what)
            message = await self._message(error, caller) if error.told else error.what
            fault = Fault(error.status, error.kind, message, error.retry_after)
        except AuditFailed as error:
            _log.error("audit: %s", error.what)
            what = "the decision could not be recorded, so the request was not served"
            fault = Fault(503, "overloaded", what, 5)
        except Exception as error:
            # The message is left out: it may quote a client's text.
            _log.error("a request failed: %s", type(error).__name__)
            fault = Fault(500, "internal", "the server failed on this request")
        parts.telemetry.failed(fault.kind)
        await send_whole(send, fault.status, fault_headers(fault), orjson.dumps(fault_body(fault)))

    async def _answered(self, asked: Asked, receive: Receive) -> Told:
        leaving = Leaving(receive, patience=_PATIENCE_S)
        try:
            async with asyncio.timeout(asked.parts.settings.limits.seconds):
                return await self._handle(asked)
        except asyncio.CancelledError:
            if not leaving.gone:
                raise
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
            raise Gone from None
        finally:
            leaving.stop()

    async def _message(self, error: UpstreamFault, caller: Caller) -> str:
        """The upstream's own words, where they break no rule."""
        with self._parts.guards.lease(caller.constitution) as guard:
            verdict = await guard.gate.ajudge(Exchange.of("", error.told))
        return error.told if verdict.action is Action.ALLOW else NOT_TOLD


async def passed(asked: Asked) -> Told:
    """Hand a request on to the upstream, and its answer back.

    Raises:
        UpstreamFault: see `Upstream.passed`.
    """
    parts = asked.parts
    trace = parts.telemetry.begin(asked.headers)
    headers = asked.onward if trace is None else {**asked.onward, **trace.headers}
    status, body, kept = await parts.upstream.passed(asked.method, asked.path, asked.raw or None, headers)
    told = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in kept.items()]
    typed = any(name.lower() == b"content-type" for name, _ in told)
    return Told(status, body, told if typed else [JSON, *told])


def _path(scope: Scope) -> str:
    """The path as it was asked for, escapes and all, so that the upstream sees the same."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope.get("query_string", b"")
    return (raw.partition(b"?")[0] + (b"?" + query if query else b"")).decode("latin-1")


def _plain(error: WardlawError) -> str:
    return f"{error.what} ({error.hint})" if error.hint else error.what
