"""One request on its way through: what is known of it, how it is told an error, and what is kept of it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import orjson
from starlette.types import Receive, Send

from guard.guard import Guard, Watch
from guard.guarding.incoming import Answer, Incoming
from guard.window.outcomes import Channel
from server.dialects.base import Dialect, Fault
from server.parts import Parts, Trace
from server.proxy.http import JSON, Headers, send_whole
from server.proxy.telling import told_headers, told_object, wants_object
from server.record import Caller, Record
from server.shadow.given import Given, looks_of
from server.upstreams.base import UpstreamFault

NOT_TOLD = "the model's server refused the request"
"""What is told where an upstream's own words may not leave."""


class Call:
    """A request whose body has been read and whose caller is known."""

    def __init__(
        self,
        parts: Parts,
        dialect: Dialect,
        caller: Caller,
        headers: Mapping[str, str],
        body: dict[str, Any],
        receive: Receive,
        send: Send,
    ) -> None:
        self.parts = parts
        self.dialect = dialect
        self.caller = caller
        self.headers = headers
        self.body = body
        self.receive = receive
        self.send = send
        self.began = time.perf_counter()
        self.streamed = dialect.streams(body)
        self.started = False
        """Whether anything has been sent."""
        self.trace: Trace | None = parts.telemetry.begin(headers)
        self.upstream_s = 0.0
        self.first_s: float | None = None
        self.break_off: Callable[[Fault], Awaitable[None]] | None = None
        """Ends a stream that has begun with an error."""
        self.sent: Callable[[], Sequence[Mapping[Channel, str]]] = list
        """The texts of a stream that have left so far, a mapping a choice."""
        self.given: Given | None = None
        """Takes the model's own texts, where a candidate is to judge them."""
        self.kept: Record | None = None
        """What was kept last."""
        self.guard: Guard
        self.watch: Watch
        self.incoming: Incoming

    def begin(self, guard: Guard, incoming: Incoming) -> None:
        """Put the request under guard."""
        self.guard = guard
        self.incoming = incoming
        self.watch = guard.watch(incoming)
        shadow = self.parts.shadow
        if shadow is not None:
            self.given = shadow.collects(self.caller.constitution)

    def leave_to_shadow(self) -> None:
        """Let a candidate judge what was judged, now that the client has its answer."""
        given, shadow, incoming = self.given, self.parts.shadow, self.incoming
        if given is not None and shadow is not None and self.kept is not None:
            shadow.offer(self.kept, lambda: looks_of(incoming, given))

    @property
    def onward(self) -> Mapping[str, str]:
        """The headers that the upstream may see: never a key of ours."""
        headers = dict(self.headers)
        if self.caller.key:
            headers.pop("authorization", None)
            headers.pop("x-api-key", None)
        if self.trace is not None:
            headers.update(self.trace.headers)
        return headers

    @property
    def keeps_texts(self) -> bool:
        """Whether the audit is to have the texts."""
        return self.parts.settings.audit.content != "none"

    async def keep(
        self,
        *,
        status: int = 200,
        fault: str = "",
        complete: bool = True,
        answers: Sequence[Mapping[Channel, str]] = (),
    ) -> Record:
        """Keep what was decided, before the client is told of it.

        Raises:
            AuditFailed: see `Audit.keep`.
        """
        record = Record(
            self.watch.decision(complete=complete),
            self.caller,
            self.dialect.name,
            str(self.body.get("model", ""))[:200],
            self.streamed,
            status,
            time.perf_counter() - self.began,
            self.first_s,
            self.upstream_s,
            fault,
            self.incoming if self.keeps_texts else None,
            tuple(answers) if self.keeps_texts else (),
        )
        await self.parts.audit.keep(record)
        self.kept = record
        if complete:
            self.parts.telemetry.decided(record, self.trace)
        return record

    def told(self, record: Record, handed_on: Mapping[str, str] | None = None) -> Headers:
        """The headers that an answer gets beside its content type."""
        headers = told_headers(record.decision, self.parts.settings.tell)
        if handed_on:
            headers += [(name.encode("latin-1"), value.encode("latin-1")) for name, value in handed_on.items()]
        return headers

    def note(self, record: Record) -> dict[str, Any] | None:
        """The object `wardlaw`, where the client is to have it."""
        settings = self.parts.settings.tell
        if not wants_object(self.headers, settings):
            return None
        return told_object(record.decision, self.guard, settings, self.watch.language)

    async def finish(
        self,
        status: int,
        data: dict[str, Any] | None,
        body: bytes | None,
        answers: Sequence[Mapping[Channel, str]],
        *,
        fault: str = "",
        handed_on: Mapping[str, str] | None = None,
    ) -> None:
        """Keep the decision, then send a whole answer.

        Args:
            status: HTTP status.
            data: the answer, needed where `body` is None or the object `wardlaw` is added.
            body: its bytes, where they can leave as they are.
            answers: the texts in it, for the audit.
            fault: kind of the error that it tells.
            handed_on: headers of the upstream.
        """
        record = await self.keep(status=status, fault=fault, answers=answers)
        note = self.note(record)
        if note is not None and data is not None:
            body = orjson.dumps({**data, "wardlaw": note})
        elif body is None:
            body = orjson.dumps(data)
        self.started = True
        await send_whole(self.send, status, [JSON, *self.told(record, handed_on)], body)

    async def fault_of(self, error: UpstreamFault) -> Fault:
        """What the client is told of an upstream's fault; the upstream's own words only where they break no rule."""
        message = error.what
        if error.told:
            try:
                ruling = (await self.watch.rule([Answer({Channel("text"): error.told})]))[0]
                message = error.told if ruling.untouched else ruling.edits.get(Channel("text"), NOT_TOLD)
            except Exception:  # the fault is told all the same, and none of what was not judged
                message = NOT_TOLD
        return Fault(error.status, error.kind, message, error.retry_after, error.where)


def fault_headers(fault: Fault) -> Headers:
    """Headers of an error."""
    if fault.retry_after is None:
        return [JSON]
    return [JSON, (b"retry-after", str(max(1, round(fault.retry_after + 0.499))).encode())]
