"""A load client of raw HTTP/1.1 over kept-alive connections: when each byte came, and what it said.

What came is only noted while a run lasts and read after it, so that reading costs no one their time.
"""

from __future__ import annotations

import asyncio
import bisect
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

import orjson

TIMEOUT_S = 30.0

KEY = f"sk-{secrets.token_hex(32)}"
"""Every request carries it: a peer does not start without a key. Another one each run."""


@dataclass(slots=True)
class Answer:
    """One response."""

    sent: float
    """`perf_counter` when the request was written."""
    raw: bytes = b""
    arrivals: list[tuple[float, int]] = field(default_factory=list)
    """When, and how many bytes had come by then."""
    fault: str = ""

    @property
    def took(self) -> float:
        """Seconds to the last byte."""
        return self.arrivals[-1][0] - self.sent

    @property
    def status(self) -> int:
        """HTTP status; 0 where there was no answer."""
        return int(self.raw[9:12]) if self.raw[:5] == b"HTTP/" else 0

    @property
    def headers(self) -> dict[str, str]:
        """Names in lower case."""
        lines = self.raw.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
        pairs = (line.partition(":") for line in lines)
        return {name.strip().lower(): value.strip() for name, _, value in pairs}

    def body(self) -> tuple[bytes, list[tuple[int, int]]]:
        """The body, and where its stretches begin: in the body, in the raw bytes."""
        head, _, _ = self.raw.partition(b"\r\n\r\n")
        at = len(head) + 4
        if b"transfer-encoding: chunked" not in head.lower():
            return self.raw[at:], [(0, at)]
        parts: list[bytes] = []
        begins: list[tuple[int, int]] = []
        length = 0
        while True:
            end = self.raw.find(b"\r\n", at)
            if end < 0:
                break
            size = int(self.raw[at:end].split(b";")[0] or b"0", 16)
            if size == 0:
                break
            begins.append((length, end + 2))
            parts.append(self.raw[end + 2 : end + 2 + size])
            length += size
            at = end + 2 + size + 2
        return b"".join(parts), begins

    def events(self) -> Iterator[tuple[float, bytes]]:
        """The events of a stream: when the last byte of each had come, and its data."""
        body, begins = self.body()
        body = body.replace(b"\r\n", b"\n") if b"\r\n\r\n" in body else body
        counts = [count for _, count in self.arrivals]
        at = 0
        while (end := body.find(b"\n\n", at)) >= 0:
            data = b"\n".join(line[5:].strip() for line in body[at:end].split(b"\n") if line.startswith(b"data:"))
            in_body, in_raw = begins[bisect.bisect_right(begins, (end + 1, 1 << 60)) - 1]
            came = bisect.bisect_left(counts, in_raw + end + 2 - in_body)
            yield self.arrivals[min(came, len(counts) - 1)][0], data
            at = end + 2

    def texts(self) -> list[tuple[float, str]]:
        """Every piece of text in a stream of chat completions, with when it came."""
        found = []
        for when, data in self.events():
            if data.startswith(b"{"):
                event: dict[str, Any] = orjson.loads(data)
                for choice in event.get("choices") or ():
                    said = (choice.get("delta") or {}).get("content")
                    if said:
                        found.append((when, said))
        return found

    def text(self, *, stream: bool) -> str:
        """What the answer says; empty where it is an error."""
        if stream:
            return "".join(said for _, said in self.texts())
        try:
            data = orjson.loads(self.body()[0])
            return data["choices"][0]["message"]["content"] or ""
        except (ValueError, KeyError, IndexError, TypeError):
            return ""


class Connection(asyncio.Protocol):
    """One kept-alive connection with one request at a time."""

    def __init__(self) -> None:
        self.closed = False
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._answer: Answer | None = None
        self._done: asyncio.Future[str] | None = None
        self._need = -1
        self._chunked = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits."""
        self.closed = True
        if self._done is not None and not self._done.done():
            self._done.set_result("closed")

    def data_received(self, data: bytes) -> None:
        """Note when bytes came, and whether they were the last."""
        now = time.perf_counter()
        if self._answer is None or self._done is None or self._done.done():
            return
        buffer = self._buffer
        buffer += data
        self._answer.arrivals.append((now, len(buffer)))
        if self._need < 0:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(buffer[:end]).lower()
            self._chunked = b"transfer-encoding: chunked" in head
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            self._need = end + 4 + length
        if buffer.endswith(b"0\r\n\r\n") if self._chunked else len(buffer) >= self._need:
            self._done.set_result("")

    async def ask(self, request: bytes) -> Answer:
        """Send a request and wait for its whole answer."""
        assert self._transport is not None
        loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._need = -1
        self._done = loop.create_future()
        self._answer = answer = Answer(time.perf_counter())
        self._transport.write(request)
        timer = loop.call_later(TIMEOUT_S, _end, self._done, "timeout")
        answer.fault = await self._done
        timer.cancel()
        answer.raw = bytes(self._buffer)
        if not answer.arrivals:
            answer.arrivals.append((time.perf_counter(), 0))
        if answer.fault or b"\r\nconnection: close\r\n" in answer.raw[:2000].lower():
            self.close()
        return answer

    def close(self) -> None:
        """Close it."""
        self.closed = True
        if self._transport is not None:
            self._transport.close()


def _end(future: asyncio.Future[str], why: str) -> None:
    if not future.done():
        future.set_result(why)


def post(url: str, body: object, headers: dict[str, str] | None = None) -> bytes:
    """The bytes of a request."""
    place = urlsplit(url)
    data = orjson.dumps(body)
    lines = [f"POST {place.path} HTTP/1.1", f"host: {place.netloc}", "content-type: application/json"]
    lines += [f"authorization: Bearer {KEY}", *(f"{name}: {value}" for name, value in (headers or {}).items())]
    return "\r\n".join([*lines, f"content-length: {len(data)}", "", ""]).encode() + data


@dataclass(frozen=True)
class Run:
    """What a run brought."""

    answers: list[Answer]
    """Those that came whole with status 200, to what was asked after the warm-up."""
    faults: Counter[str]
    """Everything else, by what it was."""
    done: int
    """Answers that came after the warm-up, whenever they were asked for."""
    wall: float
    """Seconds from the end of the warm-up to the last answer."""

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.done / self.wall if self.wall else 0.0


async def load(
    address: tuple[str, int],
    request: Callable[[int], bytes],
    concurrency: int,
    seconds: float,
    *,
    first: int = 0,
    warm: float = 0.0,
    begin: Callable[[], None] = lambda: None,
    spread: float = 0.0,
) -> Run:
    """Ask for so many seconds, each connection as soon as it has its answer.

    Args:
        address: host and port.
        request: the bytes of the request of a number; the numbers count up from `first`.
        concurrency: connections.
        seconds: after which no request is begun, counted from the end of the warm-up.
        first: number of the first request.
        warm: seconds before that; what is sent in them is not counted.
        begin: called when they are over.
        spread: seconds over which the connections start, one after the other.
    """
    loop = asyncio.get_running_loop()
    numbers = iter(range(first, 1 << 60))
    good: list[Answer] = []
    faults: Counter[str] = Counter()
    counted = time.perf_counter() + warm
    until = counted + seconds
    loop.call_later(warm, begin)

    done = 0

    async def ask(wait: float) -> None:
        nonlocal done
        await asyncio.sleep(wait)
        connection: Connection | None = None
        while time.perf_counter() < until:
            if connection is None or connection.closed:
                try:
                    _, connection = await loop.create_connection(Connection, *address)
                except OSError as error:
                    faults[type(error).__name__] += time.perf_counter() >= counted
                    await asyncio.sleep(0.05)
                    continue
            answer = await connection.ask(request(next(numbers)))
            if answer.fault or answer.status != 200:
                faults[answer.fault or str(answer.status)] += time.perf_counter() >= counted
                await asyncio.sleep(0.01)
            else:
                done += time.perf_counter() >= counted
                if answer.sent >= counted:
                    good.append(answer)
        if connection is not None:
            connection.close()

    await asyncio.gather(*(ask(number * spread / concurrency) for number in range(concurrency)))
    return Run(good, faults, done, time.perf_counter() - counted)
