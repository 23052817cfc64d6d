"""Bounds on the head of a request, by bytes on a socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import uvicorn

from server.http import protocol
from server.settings import LimitSettings

Start = Callable[..., Awaitable[int]]


async def app(scope: Any, receive: Any, send: Any) -> None:
    size, more = 0, True
    while more and scope["path"] != "/early":
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    answer = str(size).encode()
    headers = [(b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:

        async def started(**limits: Any) -> int:
            bounded = protocol(LimitSettings(**limits))
            config = uvicorn.Config(app, http=bounded, lifespan="off", ws="none", log_config=None, access_log=False)
            server = uvicorn.Server(config)
            server.capture_signals = AsyncExitStack  # type: ignore[method-assign, assignment]
            sock = socket.create_server(("127.0.0.1", 0))
            task = asyncio.create_task(server._serve([sock]))

            async def stop() -> None:
                server.should_exit = True
                await task

            stack.push_async_callback(stop)
            return int(sock.getsockname()[1])

        yield started


async def talk(port: int, *pieces: bytes, pause: float = 0.01, ends: bytes = b"") -> bytes:
    """What comes back until the connection is closed, or until `ends`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    got = b""
    try:
        async with asyncio.timeout(20):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause)
            while not (ends and got.endswith(ends)) and (more := await reader.read(65536)):
                got += more
    except ConnectionError:
        pass
    finally:
        writer.close()
    return got


HEAD = b"POST / HTTP/1.1\r\nhost: a\r\n"


async def test_an_ordinary_request_passes_however_its_bytes_are_cut(start: Start) -> None:
    port = await start()
    request = HEAD + b"content-length: 5\r\n\r\nhello"
    got = await talk(port, *(request[at : at + 1] for at in range(len(request))), pause=0, ends=b"\r\n\r\n5")
    assert got.startswith(b"HTTP/1.1 200")


async def test_a_body_may_be_longer_than_a_head(start: Start) -> None:
    port = await start(header_bytes=1024)
    body = b"x" * 500_000
    pieces = [body[at : at + 60_000] for at in range(0, 500_000, 60_000)]
    got = await talk(port, HEAD + b"content-length: 500000\r\n\r\n", *pieces, ends=b"500000")
    assert got.endswith(b"500000")


@pytest.mark.parametrize(
    "head",
    [
        HEAD + b"x-long: " + b"a" * 2000 + b"\r\n\r\n",
        HEAD + b"".join(b"x-%d: aaaaaaaaaa\r\n" % number for number in range(100)) + b"\r\n",
        b"GET /" + b"a" * 2000 + b" HTTP/1.1\r\nhost: a\r\n\r\n",
        HEAD + b"x-unended: " + b"a" * 2000,
    ],
    ids=["one-header", "many-headers", "address", "no-end"],
)
async def test_a_head_that_is_too_long_is_refused_and_the_connection_closed(start: Start, head: bytes) -> None:
    port = await start(header_bytes=1024)
    assert (await talk(port, head)).startswith(b"HTTP/1.1 431 ")
    assert (await talk(port, *(head[at : at + 700] for at in range(0, len(head), 700)))).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("said", [b"", b"POST / HTT", HEAD])
async def test_a_head_that_does_not_come_is_not_waited_for(start: Start, said: bytes) -> None:
    port = await start(header_s=0.3)
    assert (await talk(port, said)).startswith(b"HTTP/1.1 408 ")


async def test_the_second_request_of_a_connection_has_the_same_bounds(start: Start) -> None:
    port = await start(header_bytes=1024, header_s=0.5)
    first = HEAD + b"content-length: 0\r\n\r\n"
    got = await talk(port, first, first, HEAD + b"x: " + b"a" * 2000, pause=0.1)
    assert got.count(b"HTTP/1.1 200") == 2
    assert b"HTTP/1.1 431 " in got
    got = await talk(port, first, HEAD, pause=0.1)
    assert b"HTTP/1.1 408 " in got


async def test_a_body_that_goes_on_after_its_answer_is_no_head(start: Start) -> None:
    port = await start(header_bytes=1024, header_s=0.3)
    head = b"POST /early HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n"
    body, second = b"x" * 50_000, HEAD + b"content-length: 2\r\n\r\nhi"
    got = await talk(port, head, body, body, second, pause=0.1, ends=b"\r\n\r\n2")
    assert got.count(b"HTTP/1.1 200") == 2
    assert b" 431 " not in got
