"""An answer that streams: each event waits in the queue until the window has let go of its texts."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any, TypeAlias

from guard.guarding.incoming import Unscannable
from guard.guarding.rulings import Admission
from guard.window import Outcome, Released, Stopped, relay
from guard.window.outcomes import Channel
from rules.schema import Action
from server.dialects.base import Delta, Fault, Streamed
from server.parts import AuditFailed
from server.proxy.asking import admitted, edited, redraw, whole
from server.proxy.call import Call
from server.proxy.http import SSE
from server.proxy.noting import noted
from server.proxy.queue import EventQueue
from server.proxy.refusals import plain
from server.proxy.whole import carried_out, judged, refuse, wholly_blocked
from server.record import Record
from server.upstreams.base import Answered, Buffered, Event, NotAStream, UpstreamFault

_log = logging.getLogger(__name__)

Opened: TypeAlias = tuple[
    AbstractAsyncContextManager[tuple[Mapping[str, str], AsyncIterator[Event]]], Mapping[str, str], AsyncIterator[Event]
]

_JOINED = 2048
"""Characters of one channel that are scanned together at most, where so many have come."""


class _Refused(Exception):
    """Something came that cannot be scanned, and the settings say that it may not leave."""

    def __init__(self, what: Unscannable) -> None:
        super().__init__(what.what)
        self.what = what


async def answer_stream(call: Call) -> None:
    """Guard a request whose answer is a stream.

    Raises:
        UpstreamFault: the model gave no usable answer, and nothing has been sent yet.
        AuditFailed: the decision cannot be kept, and nothing has been sent yet.
    """
    stream = Stream(call)
    try:
        asked: tuple[Admission, Opened | None] = await admitted(call, stream.open, _close, stream=True)
    except NotAStream as error:
        await stream.send_checked(call.body, error.answered)
        return
    admission, opened = asked
    if admission.action is Action.BLOCK:
        await stream.refuse(admission.reply)
    elif opened is None:
        await _mended(call, stream, admission)
    else:
        await stream.pass_on(opened)


async def _mended(call: Call, stream: Stream, admission: Admission) -> None:
    """An answer that has to be mended before any of it may leave is asked for whole."""
    body = edited(call, admission)
    body = {name: value for name, value in body.items() if name not in ("stream", "stream_options")}
    await stream.send_checked(body, await whole(call, body))


class Stream:
    """One stream on its way out."""

    def __init__(self, call: Call) -> None:
        """Nothing has been asked yet."""
        self._call = call
        tell = call.parts.settings.tell
        self._shape: Streamed = call.dialect.stream(call.body, tell.ending)
        self._queue = EventQueue(self._shape, keep=call.keeps_texts)
        self._mask = call.guard.settings.mask
        self._headers: Mapping[str, str] = {}
        self._came: float | None = None
        self._body = call.body  # as the upstream was asked
        call.break_off = self.break_off
        call.sent = self._texts

    async def open(self, body: Mapping[str, Any]) -> Opened:
        """Ask the upstream for the stream."""
        call = self._call
        self._body = dict(body)
        began = time.perf_counter()
        manager = call.parts.upstream.stream(call.dialect.name, body, call.onward)
        try:
            headers, events = await manager.__aenter__()
        finally:
            call.upstream_s = time.perf_counter() - began
            call.watch.spent("upstream", call.upstream_s)
        return manager, headers, events

    async def refuse(self, reply: str) -> None:
        """Answer with the guard's reply."""
        call = self._call
        tell = call.parts.settings.tell
        if tell.block_status != 200:
            await refuse(call, reply)
            return
        events = self._shape.whole(call.dialect.reply(call.body, reply, tell.ending))
        await self._end(events, [{Channel("text"): reply}])

    async def send_checked(self, body: Mapping[str, Any], answered: Answered) -> None:
        """Judge an answer that came whole, and say it as a stream."""
        call = self._call
        answers, rulings = await judged(call, dict(body), answered)
        if reply := wholly_blocked(call, rulings):
            await refuse(call, reply)
            return
        data, sent = carried_out(call, answered.data, answers, rulings)
        self._headers = answered.headers
        await self._end(self._shape.whole(data), sent)

    async def pass_on(self, opened: Opened) -> None:
        """Let the upstream's events out as their texts are released."""
        manager, self._headers, events = opened
        try:
            try:
                await self._guarded(events)
            finally:
                await manager.__aexit__(None, None, None)
            rest = list(self._queue.rest())
            if self._over() and not (rest and rest[-1].kind == "done"):
                rest += self._shape.ended()
            await self._end(rest, self._texts())
        except UpstreamFault as error:
            if not self._call.started:
                raise
            call = self._call
            _log.warning("%s: %s", call.parts.upstream.identity, plain(error), extra={"decision": call.watch.id})
            await self.break_off(Fault(error.status, error.kind, error.what, error.retry_after))
        except AuditFailed:
            if not self._call.started:
                raise
            await self.break_off(Fault(503, "overloaded", "the decision could not be recorded", 5), keep=False)

    async def break_off(self, fault: Fault, *, keep: bool = True) -> None:
        """End a stream that has begun with an error."""
        call = self._call
        if keep:
            try:
                await call.keep(fault=fault.kind, answers=self._texts())
            except AuditFailed:
                fault = Fault(503, "overloaded", "the decision could not be recorded", 5)
        await self._send(self._shape.fault(fault), more=False)

    async def _guarded(self, events: AsyncIterator[Event]) -> None:
        call, queue = self._call, self._queue
        window = call.watch.window()
        try:
            if window.patterns_only:
                known: set[tuple[int, Channel]] = set()
                async for choice, channel, text in self._deltas(events):
                    if (choice, channel) not in known:
                        known.add((choice, channel))
                        for other, outcome in await window.aswitch(choice, channel):
                            await self._passed(choice, other, outcome)
                    await self._passed(choice, channel, await window.afeed(choice, channel, text))
                    await self._let_out()
                    if self._over():
                        return
                for choice, channel, outcome in await window.aclose():
                    await self._passed(choice, channel, outcome)
                return
            # Of choices that wait for a model each goes on by itself.
            async with aclosing(relay(window, self._deltas(events))) as passed:
                async for choice, channel, outcome in passed:
                    await self._passed(choice, channel, outcome)
                    await self._let_out()
                    if self._over():
                        return
        except _Refused as refused:
            await self._refuse_the_rest(refused.what)
        finally:
            call.parts.telemetry.held(queue.held)
            window.abandon()

    async def _deltas(self, events: AsyncIterator[Event]) -> AsyncGenerator[Delta]:
        """The texts of a stream. What has come already is joined as far as it is of one channel: the busier the server,
        the less a token costs."""
        buffered = events if isinstance(events, Buffered) else None
        joined: Delta | None = None
        async for event in events:
            for delta in self._take(event):
                if joined is None:
                    joined = delta
                elif joined[:2] == delta[:2] and len(joined[2]) < _JOINED:
                    joined = (*delta[:2], joined[2] + delta[2])
                else:
                    yield joined
                    joined = delta
            if joined is not None and (buffered is None or not buffered.more):
                yield joined
                joined = None
        if joined is not None:
            yield joined

    def _take(self, event: Event) -> list[Delta]:
        """Take an event in.

        Raises:
            _Refused: it cannot be scanned and may not leave.
            UpstreamFault: it is no event of this API.
        """
        if event.kind != "data":
            self._queue.push(event, ())
            return []
        try:
            unknown = self._shape.unscannable(event)
            if unknown is not None and not self._call.watch.unknown(unknown):
                raise _Refused(unknown)
            deltas = self._shape.texts(event)
        except ValueError as error:
            what = f"an event of the upstream cannot be read: {error}"
            raise UpstreamFault(502, "upstream", what, "check that `upstream.url` speaks this API") from None
        if deltas and self._came is None:
            self._came = time.perf_counter()
        if self._call.given is not None:
            for delta in deltas:
                self._call.given.add(*delta)
        self._queue.push(event, deltas)
        return deltas

    async def _passed(self, choice: int, channel: Channel, outcome: Outcome) -> None:
        """Carry out what the window said to a piece."""
        if isinstance(outcome, Released):
            self._queue.release(choice, channel, outcome, self._mask)
        elif isinstance(outcome, Stopped) and choice not in self._queue.stopped:
            await self._stop(choice, outcome)

    async def _stop(self, choice: int, stopped: Stopped) -> None:
        """End a choice with what takes its place."""
        self._queue.stop(choice, stopped.released)
        ruling = await self._call.watch.stopped(choice, stopped, redraw(self._call, self._body))
        await self._let_out()
        self._queue.add(self._shape.stopped(choice, ruling))
        if self._call.keeps_texts and ruling.text:
            self._queue.sent.add((choice, Channel("text")), ruling.text)
        if self._call.started and not self._over():
            await self._call.keep(complete=False)  # the client is told of the stop while other choices go on

    async def _refuse_the_rest(self, what: Unscannable) -> None:
        """End all choices that have not ended, for something that cannot be scanned."""
        for choice in range(self._shape.choices()):
            if choice not in self._queue.stopped:
                cause = {"unscannable": f"`{what.what}` at {what.where}"}
                await self._stop(choice, Stopped(Action.BLOCK, (), Channel("text"), degraded=cause))

    def _over(self) -> bool:
        """Whether all choices were stopped."""
        return bool(self._queue.stopped) and len(self._queue.stopped) >= self._shape.choices()

    def _texts(self) -> list[Mapping[Channel, str]]:
        """What was sent, a mapping a choice."""
        told: dict[int, dict[Channel, str]] = {}
        for (choice, channel), text in self._queue.sent.items():
            told.setdefault(choice, {})[channel] = text
        return [told[choice] for choice in sorted(told)]

    async def _let_out(self) -> None:
        """Send what may leave, as far as the last text: what ends the stream waits for the decision to be kept."""
        ready = list(self._queue.ready())
        if not ready:
            return
        call = self._call
        if not call.started:
            await self._start(await call.keep(complete=False))
        if call.first_s is None and self._came is not None:
            now = time.perf_counter()
            call.first_s = now - call.began
            call.parts.telemetry.first(now - self._came)
        await self._send(ready)

    async def _end(self, events: list[Event], sent: list[Mapping[Channel, str]]) -> None:
        """Keep the decision, then send the last events."""
        call = self._call
        record = await call.keep(answers=sent)
        note = call.note(record)
        if note is not None:
            events = noted(self._shape, events, note)
        if not call.started:
            await self._start(record)
        await self._send(events, more=False)

    async def _start(self, record: Record) -> None:
        call = self._call
        call.started = True
        headers = [*SSE, *call.told(record, self._headers)]
        await call.send({"type": "http.response.start", "status": 200, "headers": headers})

    async def _send(self, events: list[Event], *, more: bool = True) -> None:
        body = events[0].raw if len(events) == 1 else b"".join([event.raw for event in events])
        await self._call.send({"type": "http.response.body", "body": body, "more_body": more})


async def _close(opened: Opened | None) -> None:
    if opened is not None:
        await opened[0].__aexit__(None, None, None)
