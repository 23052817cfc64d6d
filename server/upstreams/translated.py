"""An upstream that is asked in a dialect it speaks, whatever the client speaks."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import orjson

from server.translating import translators
from server.translating.base import Translation, Translator
from server.upstreams.base import Answered, Event, NotAStream, Upstream, UpstreamFault


class TranslatedUpstream:
    """Hands on what the upstream speaks itself, and translates the rest, over two dialects where need be."""

    def __init__(self, upstream: Upstream) -> None:
        """Args: upstream: closed with this one."""
        self._upstream = upstream
        self._ways: dict[str, tuple[Translator, ...]] = {}

    @property
    def identity(self) -> str:
        """That of the upstream itself."""
        return self._upstream.identity

    def speaks(self, dialect: str) -> bool:
        """Whether it can be asked in this dialect, by translation or without."""
        return self._upstream.speaks(dialect) or bool(self._way(dialect))

    async def ask(self, dialect: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> Answered:
        """Ask for a whole answer.

        Raises:
            UpstreamFault: no usable answer, or a request that the upstream's dialect has no words for (400).
        """
        if self._upstream.speaks(dialect):
            return await self._upstream.ask(dialect, body, headers)
        way = self._way(dialect)
        asked = _asked(way, dialect, body)
        target = way[-1].TARGET
        answered = await self._upstream.ask(target, asked[-1], _credentials(headers, target))
        return _answered(way, asked, answered)

    def stream(
        self, dialect: str, body: Mapping[str, Any], headers: Mapping[str, str]
    ) -> AbstractAsyncContextManager[tuple[Mapping[str, str], AsyncIterator[Event]]]:
        """Ask for a stream.

        Raises:
            UpstreamFault: as for `ask` on entering; while it is read, that it broke off.
            NotAStream: on entering: a whole answer came instead.
        """
        if self._upstream.speaks(dialect):
            return self._upstream.stream(dialect, body, headers)
        return self._translated(dialect, body, headers)

    async def ready(self) -> bool:
        """Whether the upstream answers at all."""
        return await self._upstream.ready()

    async def passed(
        self, method: str, path: str, raw: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """Hand a request on that carries no conversation.

        Raises:
            UpstreamFault: no answer, or the upstream has no such thing.
        """
        return await self._upstream.passed(method, path, raw, headers)

    async def close(self) -> None:
        """Close the upstream. May be called twice."""
        await self._upstream.close()

    @asynccontextmanager
    async def _translated(
        self, dialect: str, body: Mapping[str, Any], headers: Mapping[str, str]
    ) -> AsyncGenerator[tuple[Mapping[str, str], AsyncIterator[Event]], None]:
        way = self._way(dialect)
        asked = _asked(way, dialect, body)
        target = way[-1].TARGET
        whole: Answered | None = None
        try:
            async with self._upstream.stream(target, asked[-1], _credentials(headers, target)) as (kept, events):
                yield kept, _Translated(way, asked, events)
        except NotAStream as instead:
            whole = instead.answered
        if whole is not None:
            raise NotAStream(_answered(way, asked, whole))

    def _way(self, dialect: str) -> tuple[Translator, ...]:
        """The translators from a dialect to one that the upstream speaks, as few as there are; empty where none."""
        if dialect not in self._ways:
            self._ways[dialect] = self._found(dialect)
        return self._ways[dialect]

    def _found(self, dialect: str) -> tuple[Translator, ...]:
        ways: list[tuple[Translator, ...]] = [(one,) for one in translators() if dialect == one.SOURCE]
        reached = {dialect}
        while ways:
            for way in ways:
                if self._upstream.speaks(way[-1].TARGET):
                    return way
            reached |= {way[-1].TARGET for way in ways}
            further = [(*way, one) for way in ways for one in translators() if one.SOURCE == way[-1].TARGET]
            ways = [way for way in further if way[-1].TARGET not in reached]
        return ()


def _asked(way: Sequence[Translator], dialect: str, body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The request in each dialect on the way, the client's first."""
    if not way:
        raise UpstreamFault(404, "not_found", f"the upstream cannot be asked in the dialect `{dialect}`")
    asked = [dict(body)]
    try:
        for one in way:
            asked.append(one.request(asked[-1]))
    except ValueError as error:
        what = f"a request in `{dialect}` that cannot be said in `{way[-1].TARGET}`"
        raise UpstreamFault(400, "invalid_request", what, told=str(error)) from None
    return asked


def _answered(way: Sequence[Translator], asked: Sequence[dict[str, Any]], answered: Answered) -> Answered:
    data = answered.data
    try:
        for one, request in zip(reversed(way), reversed(asked[:-1]), strict=True):
            data = one.answer(data, request)
    except ValueError as error:
        raise _unreadable(error) from None
    return Answered(answered.status, orjson.dumps(data), data, answered.headers)


class _Translated:
    """The events of a stream in the client's dialect; keep-alives go through as they are."""

    def __init__(
        self, way: Sequence[Translator], asked: Sequence[dict[str, Any]], events: AsyncIterator[Event]
    ) -> None:
        self._events = events
        self._steps = [
            one.Translation(request) for one, request in zip(reversed(way), reversed(asked[:-1]), strict=True)
        ]
        self._waiting: deque[Event] = deque()
        self._over = False

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        while not self._waiting:
            if self._over:
                raise StopAsyncIteration
            try:
                event = await anext(self._events)
            except StopAsyncIteration:
                self._over = True
                self._end()
                continue
            self._waiting.extend([event] if event.kind == "comment" else _fed(self._steps, [event]))
        return self._waiting.popleft()

    def _end(self) -> None:
        for number, step in enumerate(self._steps, 1):
            try:
                last = step.close()
            except ValueError as error:
                raise _unreadable(error) from None
            self._waiting.extend(_fed(self._steps[number:], last))


def _fed(steps: Sequence[Translation], events: Iterable[Event]) -> list[Event]:
    """What events say after all these steps."""
    try:
        for step in steps:
            # a closing `[DONE]` says nothing that the closing of the next step does not
            events = [made for event in events if event.data is not None for made in step.feed(event)]
    except ValueError as error:
        raise _unreadable(error) from None
    return list(events)


def _unreadable(error: ValueError) -> UpstreamFault:
    # only the place: what stands there may be content
    where = str(error).partition(":")[0][:80]
    return UpstreamFault(502, "upstream", f"the upstream's answer cannot be translated, at `{where}`")


def _credentials(headers: Mapping[str, str], target: str) -> Mapping[str, str]:
    """The client's headers with its key where the upstream's API looks for it."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if target == "messages" and scheme.lower() == "bearer" and "x-api-key" not in headers:
        moved = {name: value for name, value in headers.items() if name != "authorization"}
        return moved | {"x-api-key": token.strip()}
    if target != "messages" and "x-api-key" in headers and not token:
        moved = {name: value for name, value in headers.items() if name != "x-api-key"}
        return moved | {"authorization": f"Bearer {headers['x-api-key']}"}
    return headers
