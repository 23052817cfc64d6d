"""A stream that comes by HTTP, from its request to its proper end."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Final

from server.upstreams._headers import back
from server.upstreams._refusals import told_in
from server.upstreams.base import Answered, Event, NotAStream, UpstreamFault
from server.upstreams.sse import Events

if TYPE_CHECKING:
    import aiohttp

    from server.upstreams.settings import UpstreamSettings

_ENDS: Final = {
    "messages": frozenset({"message_stop"}),
    "responses": frozenset({"response.completed", "response.incomplete", "response.failed"}),
}
"""The types of the events that end a stream properly; chat completions end by `[DONE]`."""

_LINGER_S = 0.05
"""Seconds for the end of a body to come after the end of its stream."""


class HttpStream:
    """`async with` gives headers and events; leaving closes the connection, unless the stream was read to its end."""

    def __init__(
        self,
        dialect: str,
        settings: UpstreamSettings,
        open_it: Callable[[], Awaitable[aiohttp.ClientResponse]],
        whole: Callable[[aiohttp.ClientResponse], Awaitable[Answered]],
        key: str,
    ) -> None:
        """Args: open_it: sends the request. whole: reads a response that is no stream, or raises what it refuses."""
        self._dialect = dialect
        self._settings = settings
        self._open = open_it
        self._whole = whole
        self._key = key
        self._reading: _Reading | None = None

    async def __aenter__(self) -> tuple[Mapping[str, str], AsyncIterator[Event]]:
        begun = asyncio.get_running_loop().time()
        response = await self._open()
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if not 200 <= response.status < 300 or kind.endswith("json"):
            raise NotAStream(await self._whole(response))
        if kind != "text/event-stream":
            response.close()
            raise UpstreamFault(502, "upstream", "the upstream answers with another type of content than a stream")
        self._reading = _Reading(response, self._dialect, self._settings, begun, self._key)
        return back(response.headers), self._reading

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._reading is None:
            return
        try:
            if kind is None:
                await self._reading.ending()
        finally:
            self._reading.close()


class _Reading:
    """The events of a response."""

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        dialect: str,
        settings: UpstreamSettings,
        begun: float,
        key: str,
    ) -> None:
        self._response = response
        self._key = key
        self._dialect = dialect
        self._ends = _ENDS.get(dialect, frozenset())
        self._events = Events(settings.answer_bytes)
        self._waiting: deque[Event] = deque()
        self._left = settings.answer_bytes
        self._ended = False
        self._broken: UpstreamFault | None = None
        self._loop = asyncio.get_running_loop()
        self._gap_s = settings.gap_s
        self._until = begun + settings.total_s
        self._next = begun + settings.first_s
        """When the wait for the piece that comes next is over."""
        self._begun = False
        self._waits = False
        self._late = False
        # One timer that looks and sleeps again, in place of one for each of thousands of pieces.
        self._timer = self._loop.call_at(min(self._next, self._until), self._look)

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    @property
    def more(self) -> bool:
        """Whether the next event has come."""
        return bool(self._waiting)

    async def __anext__(self) -> Event:
        while not self._waiting:
            if self._broken is not None:
                raise self._broken
            if self._ended:
                raise StopAsyncIteration
            await self._read()
        return self._took(self._waiting.popleft())

    def close(self) -> None:
        """Give the connection back if the stream was read to its end, else close it, so that the upstream sees it."""
        self._timer.cancel()
        if self._ended:
            self._response.release()  # which closes it too, where something is still to come
        else:
            self._response.close()

    async def ending(self) -> None:
        """Wait a little for the end of the body, which often comes just after the end of its stream: the connection
        can be used again then."""
        import aiohttp

        if self._ended and not self._response.content.at_eof():
            with contextlib.suppress(aiohttp.ClientError, OSError):
                async with asyncio.timeout(_LINGER_S):
                    await self._response.content.wait_eof()

    def _took(self, event: Event) -> Event:
        """Look at an event that is about to be given."""
        if event.kind == "done":
            self._finish(proper=self._dialect == "chat_completions")
        elif event.data is not None:
            kind = event.data.get("type")
            if kind in self._ends:
                self._finish(proper=True)
            elif (kind == "error" and self._ends) or (event.data.get("error") and "choices" not in event.data):
                self._waiting.clear()
                raise self._fail(self._told(event))
        return event

    def _finish(self, *, proper: bool) -> None:
        """Nothing after the end is read."""
        self._waiting.clear()
        self._timer.cancel()
        if proper:
            self._ended = True
        else:
            self._fail(self._cut())

    def _told(self, event: Event) -> UpstreamFault:
        data = event.data or {}
        error = data.get("error") or data
        what = "the upstream broke off its stream with an error of its own"
        busy = isinstance(error, dict) and "overloaded" in str(error.get("type"))
        status, kind = (503, "overloaded") if busy else (502, "upstream")
        return UpstreamFault(status, kind, what, told=told_in(error, self._key))

    async def _read(self) -> None:
        """Wait for a piece, and lay its events ready."""
        import aiohttp

        fault: UpstreamFault | None = None
        chunk = b""
        if self._begun:
            self._next = self._loop.time() + self._gap_s
            if self._timer.when() > self._next:
                self._timer.cancel()
                self._timer = self._loop.call_at(self._next, self._look)
        self._begun = self._waits = True
        try:
            chunk = await self._response.content.readany()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            late = self._late or isinstance(error, TimeoutError)
            fault = self._too_late() if late else self._cut()
        finally:
            self._waits = False
        if fault is not None:
            raise self._fail(fault)
        try:
            events = self._events.feed(chunk) if chunk else self._events.close()
        except UpstreamFault as error:
            raise self._fail(error if chunk else self._cut()) from None
        self._waiting.extend(events)
        if not chunk and not any(self._is_end(event) for event in events):
            self._fail(self._cut())
        self._left -= len(chunk)
        if self._left < 0:
            self._waiting.clear()
            what = "the upstream streams more than it may"
            raise self._fail(UpstreamFault(502, "upstream", what, "raise `upstream.answer_bytes` if that is right"))

    def _is_end(self, event: Event) -> bool:
        if self._dialect == "chat_completions":
            return event.kind == "done"
        return event.data is not None and event.data.get("type") in self._ends

    def _look(self) -> None:
        """See whether the next piece is late; called by the timer."""
        now = self._loop.time()
        if now >= self._until or (self._waits and now >= self._next):
            self._late = True
            self._fail(self._too_late())
            return
        # while nobody waits for a piece, the client is slow and not the upstream
        soon = self._next if self._next > now else now + self._gap_s
        self._timer = self._loop.call_at(min(soon, self._until), self._look)

    def _fail(self, fault: UpstreamFault) -> UpstreamFault:
        """Close the connection and remember why; a reader that waits is woken by that."""
        self._broken = self._broken or fault
        self._timer.cancel()
        self._response.close()
        return self._broken

    def _cut(self) -> UpstreamFault:
        return UpstreamFault(502, "upstream", "the upstream broke off its stream")

    def _too_late(self) -> UpstreamFault:
        hint = "`upstream.first_s`, `upstream.gap_s` and `upstream.total_s` bound the wait"
        return UpstreamFault(504, "timeout", "the upstream did not go on with its stream in time", hint)
