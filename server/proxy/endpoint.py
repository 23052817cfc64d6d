"""The three chat APIs' way in: an ASGI application that reads a request, guards it, and tells every error in the API's
own shape."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import orjson
from starlette.types import Receive, Scope, Send

from guard.guarding.incoming import Incoming
from server.dialects.base import BadRequest, Dialect, Fault
from server.parts import AuditFailed, Parts
from server.proxy.call import Call, fault_headers
from server.proxy.http import Gone, Leaving, headers_of, parsed, read_body, send_whole
from server.proxy.refusals import FAILED, fault_of, plain, raised
from server.proxy.streaming import answer_stream
from server.proxy.whole import answer_whole
from server.upstreams.base import UpstreamFault

_log = logging.getLogger(__name__)

LAST_WORDS_S = 30.0
"""Seconds in which a stream that is broken off must have been told so, the keeping of its decision among them."""


class Endpoint:
    """One API."""

    def __init__(self, parts: Parts, dialect: Dialect) -> None:
        self._parts = parts
        self._dialect = dialect

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        headers = headers_of(scope)
        parts = self._parts
        limits = parts.settings.limits
        call: Call | None = None
        try:
            caller = parts.door.caller(headers, "chat")
            with parts.limits.enter(caller):
                raw = await read_body(receive, headers, limits.body_bytes, limits.body_s)
                call = Call(parts, self._dialect, caller, headers, parsed(raw, headers), receive, send)
                await self._handle(call)
            return
        except Gone:
            return
        except Exception as error:
            fault = fault_of(error, limits)
        parts.telemetry.failed(fault.kind)
        if call is None or not call.started:
            await self._tell(send, fault)

    async def _handle(self, call: Call) -> None:
        limits = self._parts.settings.limits
        incoming = self._dialect.read(call.body)
        if len(incoming.messages) > limits.messages:
            what = f"the conversation has {len(incoming.messages)} messages, more than the {limits.messages} taken"
            raise BadRequest("", what, "leave out the oldest")
        if _characters(incoming) > limits.text_chars:
            raise BadRequest("", f"the conversation has more than {limits.text_chars} characters", "shorten it")
        call.body = self._dialect.prepared(call.body)
        with self._parts.guards.lease(call.caller.constitution, call.caller.key) as guard:
            call.begin(guard, incoming)
            leaving = Leaving(call.receive)
            try:
                try:
                    async with asyncio.timeout(limits.seconds):
                        await self._answer(call)
                finally:
                    # What follows keeps and tells an error: it must not be cancelled by a client that leaves meanwhile.
                    leaving.stop()
            except asyncio.CancelledError:
                if not leaving.uncancel():
                    await self._cut(call, Fault(503, "overloaded", "the server is shutting down", 1))
                    raise
                await self._keep(call, 499, "client_gone")
            except TimeoutError as error:
                await self._cut(call, fault_of(error, limits))
            except UpstreamFault as error:
                _log.warning("%s: %s", self._parts.upstream.identity, plain(error), extra={"decision": call.watch.id})
                await self._finish(call, await call.fault_of(error))
            except AuditFailed:
                raise
            except Exception as error:
                _log.error("a request failed: %s", raised(error), extra={"decision": call.watch.id})
                await self._cut(call, Fault(500, "internal", FAILED))
            call.leave_to_shadow()

    async def _answer(self, call: Call) -> None:
        """Handle a request that is under guard."""
        if call.streamed:
            await answer_stream(call)
        else:
            await answer_whole(call)

    async def _cut(self, call: Call, fault: Fault) -> None:
        """Tell an error, whether or not a stream has begun."""
        if not call.started:
            await self._finish(call, fault)
        elif call.break_off is not None:
            # A client that reads nothing would hold the request and its place for ever.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS_S):
                    await call.break_off(fault)

    async def _finish(self, call: Call, fault: Fault) -> None:
        """Keep the decision with its fault, and tell the fault."""
        kept = await self._keep(call, fault.status, fault.kind)
        call.started = True
        await self._tell(call.send, fault, call.watch.id if kept else "")

    async def _keep(self, call: Call, status: int, kind: str) -> bool:
        """Keep the decision on a request that has failed anyhow; whether it was kept."""
        try:
            await call.keep(status=status, fault=kind, answers=call.sent())
        except Exception as error:
            why = error.what if isinstance(error, AuditFailed) else raised(error)
            _log.error("audit: %s", why, extra={"decision": call.watch.id})
            self._parts.telemetry.failed(kind)
            return False
        return True

    async def _tell(self, send: Send, fault: Fault, decision: str = "") -> None:
        headers = fault_headers(fault)
        if decision and self._parts.settings.tell.headers:
            headers.append((b"x-wardlaw-decision", decision.encode()))
        await send_whole(send, fault.status, headers, orjson.dumps(self._dialect.fault(fault)))


def _characters(incoming: Incoming) -> int:
    return sum(
        len(message.content) + len(message.reasoning or "") + sum(map(len, message.tool_calls))
        for message in incoming.messages
    )
