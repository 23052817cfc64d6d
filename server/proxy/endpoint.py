"""The three chat APIs' way in: an ASGI application that reads a request, guards it, and tells every error in the API's
own shape."""

from __future__ import annotations

import asyncio
import logging
import traceback
from typing import Any

import orjson
from starlette.types import Receive, Scope, Send

from rules.errors import WardlawError
from server.dialects.base import BadRequest, Dialect, Fault
from server.parts import AuditFailed, Busy, Denied, Parts
from server.proxy.call import Call, fault_headers
from server.proxy.http import Gone, Leaving, TooLarge, TooSlow, headers_of, read_body, send_whole
from server.proxy.streaming import answer_stream
from server.proxy.whole import answer_whole
from server.upstreams.base import UpstreamFault

_log = logging.getLogger(__name__)

BODY_S = 60.0
"""Seconds in which a request's body has to come."""

PATIENCE_S = 0.25
"""Seconds after which the server begins to listen whether the client of a whole answer is still there."""


class Endpoint:
    """One API."""

    def __init__(self, parts: Parts, dialect: Dialect) -> None:
        self._parts = parts
        self._dialect = dialect

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        headers = headers_of(scope)
        parts = self._parts
        try:
            caller = parts.door.caller(headers, "chat")
            with parts.limits.enter(caller):
                raw = await read_body(receive, headers, parts.settings.limits.body_bytes, BODY_S)
                body = _parsed(raw, headers)
                call = Call(parts, self._dialect, caller, headers, body, receive, send)
                await self._handle(call)
            return
        except Gone:
            return
        except Denied as error:
            fault = Fault(error.status, "authentication" if error.status == 401 else "permission", _plain(error))
        except Busy as error:
            fault = Fault(429, "rate_limit", _plain(error), error.retry_after)
        except TooLarge:
            limit = parts.settings.limits.body_bytes
            fault = Fault(
                413, "too_large", f"the request's body has more than {limit} bytes, the most this server takes"
            )
        except TooSlow:
            fault = Fault(408, "timeout", f"the request's body did not come within {BODY_S:g} s")
        except BadRequest as error:
            fault = Fault(400, "invalid_request", _plain(error), where=error.where)
        parts.telemetry.failed(fault.kind)
        await self._tell(send, fault)

    async def _handle(self, call: Call) -> None:
        limits = self._parts.settings.limits
        incoming = self._dialect.read(call.body)
        if len(incoming.messages) > limits.messages:
            what = f"the conversation has {len(incoming.messages)} messages, more than the {limits.messages} taken"
            raise BadRequest("", what, "leave out the oldest")
        if sum(len(each.content) for each in incoming.messages) > limits.text_chars:
            raise BadRequest("", f"the conversation has more than {limits.text_chars} characters", "shorten it")
        call.body = self._dialect.prepared(call.body)
        with self._parts.guards.lease(call.caller.constitution) as guard:
            call.begin(guard, incoming)
            leaving = Leaving(call.receive, patience=PATIENCE_S)
            try:
                async with asyncio.timeout(limits.seconds):
                    await self._answer(call)
            except asyncio.CancelledError:
                if not leaving.gone:
                    await self._cut(call, Fault(503, "overloaded", "the server is shutting down", 1))
                    raise
                _uncancel()
                await self._keep(call, 499, "client_gone")
            except TimeoutError:
                await self._cut(call, Fault(504, "timeout", f"the request took longer than {limits.seconds:g} s"))
            except UpstreamFault as error:
                _log.warning("upstream: %s", error.what, extra={"decision": call.watch.id})
                fault = await call.fault_of(error)
                await self._finish(call, fault)
            except AuditFailed as error:
                _log.error("audit: %s", error.what, extra={"decision": call.watch.id})
                fault = Fault(503, "overloaded", "the decision could not be recorded, so the request was not served", 5)
                await self._tell(call.send, fault)
            except Exception as error:
                _log.error("a request failed: %s", _where(error), extra={"decision": call.watch.id})
                await self._cut(call, Fault(500, "internal", "the server failed on this request"))
            finally:
                leaving.stop()

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
            await call.break_off(fault)

    async def _finish(self, call: Call, fault: Fault) -> None:
        """Keep the decision with its fault, and tell the fault."""
        await self._keep(call, fault.status, fault.kind)
        call.started = True
        await self._tell(call.send, fault, call)

    async def _keep(self, call: Call, status: int, kind: str) -> None:
        try:
            await call.keep(status=status, fault=kind)
        except AuditFailed as error:
            _log.error("audit: %s", error.what, extra={"decision": call.watch.id})

    async def _tell(self, send: Send, fault: Fault, call: Call | None = None) -> None:
        headers = fault_headers(fault)
        if call is not None and self._parts.settings.tell.headers:
            headers.append((b"x-wardlaw-decision", call.watch.id.encode()))
        await send_whole(send, fault.status, headers, orjson.dumps(self._dialect.fault(fault)))


def _parsed(raw: bytes, headers: dict[str, str]) -> dict[str, Any]:
    """The request's JSON object.

    Raises:
        BadRequest: it is none.
    """
    if headers.get("content-encoding", "identity") != "identity":
        raise BadRequest("", "a compressed body is not taken", "send it without `content-encoding`")
    try:
        body = orjson.loads(raw)
    except ValueError as error:
        place = str(error).rpartition(": ")[2]
        raise BadRequest("", f"the body is no JSON: {place}", "send one JSON object") from None
    if not isinstance(body, dict):
        raise BadRequest("", f"the body is a JSON {type(body).__name__}", "send one JSON object")
    return body


def _plain(error: WardlawError) -> str:
    """An error in one line."""
    return f"{error.what} ({error.hint})" if error.hint else error.what


def _where(error: Exception) -> str:
    """The kind of an error and where it was raised; its message is left out, since it may quote a client's text."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    return f"{type(error).__name__} at {' < '.join(f'{frame.name}:{frame.lineno}' for frame in reversed(frames))}"


def _uncancel() -> None:
    """The task was cancelled by `Leaving`, for its own sake: it goes on to keep what was decided."""
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
