"""Streams by HTTP, from a model server in another process, faults and all."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from server.upstreams.base import Event, NotAStream, UpstreamFault
from server.upstreams.http import HttpUpstream

DIALECTS = ("chat_completions", "messages", "responses")
TEXT = "The tide comes in twice a day, and the harbour fills with small boats."
Open = Callable[..., HttpUpstream]


def said(dialect: str, events: list[Event]) -> str:
    datas = [event.data for event in events if event.data is not None]
    if dialect == "chat_completions":
        return "".join(choice["delta"].get("content") or "" for data in datas for choice in data["choices"])
    if dialect == "messages":
        return "".join(data["delta"].get("text") or "" for data in datas if data["type"] == "content_block_delta")
    return "".join(data["delta"] for data in datas if data["type"] == "response.output_text.delta")


async def broken(upstream: HttpUpstream, body: dict[str, Any], dialect: str) -> tuple[list[Event], UpstreamFault]:
    """What came of a stream, and how it broke off."""
    events = []
    with pytest.raises(UpstreamFault) as caught:
        async with upstream.stream(dialect, body | {"stream": True}, {}) as (_, coming):
            async for event in coming:
                events.append(event)  # noqa: PERF401  # a list made at once would be lost with the fault
    return events, caught.value


@pytest.mark.parametrize("mode", ["ok", "one_byte", "crlf", "comments", "drip", "slow"])
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_stream_says_the_same_however_its_bytes_come(
    http: Open, read: Any, bodies: Any, fake_upstream: Any, mode: str, dialect: str
) -> None:
    fake_upstream.script(mode, delay=0.01)
    events = await read(http(), dialect, bodies[dialect])
    assert said(dialect, events) == TEXT
    kinds = {event.kind for event in events}
    assert ("comment" in kinds) == (mode == "comments")
    last = events[-1]
    assert last.kind == "done" if dialect == "chat_completions" else last.data is not None
    assert all(event.raw.endswith(b"\n\n") for event in events)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_characters_cut_between_chunks_come_whole(
    http: Open, read: Any, bodies: Any, fake_upstream: Any, dialect: str
) -> None:
    fake_upstream.script("utf8_cut")
    assert said(dialect, await read(http(), dialect, bodies[dialect])).endswith(
        "潮は一日に二度満ちる 🌊 и снова уходит."
    )


@pytest.mark.parametrize("mode", ["cut", "no_end", "garbage", "error_event"])
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_stream_that_does_not_end_as_it_should_is_a_fault(
    http: Open, bodies: Any, fake_upstream: Any, mode: str, dialect: str
) -> None:
    fake_upstream.script(mode)
    _, fault = await broken(http(), bodies[dialect], dialect)
    assert (fault.status, fault.kind) == (502, "upstream")
    assert fault.told == ("out of memory" if mode == "error_event" else "")
    assert fault.__context__ is None or not hasattr(fault.__context__, "request_info")


async def test_what_came_before_a_break_is_given(http: Open, bodies: Any, fake_upstream: Any) -> None:
    fake_upstream.script("no_end")
    upstream = http()
    given = []
    with pytest.raises(UpstreamFault):
        async with upstream.stream("messages", bodies["messages"] | {"stream": True}, {}) as (_, events):
            async for event in events:
                given.append(event)  # noqa: PERF401  # a list made at once would be lost with the fault
    assert TEXT.startswith(said("messages", given))
    assert said("messages", given)


@pytest.mark.parametrize(("mode", "waits"), [("hang", {"first_s": 0.2}), ("hang_mid", {"gap_s": 0.2})])
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_stream_that_is_late_is_a_timeout(
    http: Open, bodies: Any, fake_upstream: Any, mode: str, waits: Any, dialect: str
) -> None:
    fake_upstream.script(mode)
    _, fault = await broken(http(**waits), bodies[dialect], dialect)
    assert (fault.status, fault.kind) == (504, "timeout")


async def test_a_stream_that_drips_for_ever_ends_at_the_total(http: Open, bodies: Any, fake_upstream: Any) -> None:
    fake_upstream.script("endless", delay=0.02)
    _, fault = await broken(http(total_s=0.3, gap_s=5), bodies["chat_completions"], "chat_completions")
    assert (fault.status, fault.kind) == (504, "timeout")


async def test_a_stream_of_too_many_bytes_is_broken_off(http: Open, bodies: Any, fake_upstream: Any) -> None:
    fake_upstream.script("endless")
    _, fault = await broken(http(answer_bytes=100_000), bodies["chat_completions"], "chat_completions")
    assert (fault.status, fault.kind) == (502, "upstream")
    assert await asyncio.to_thread(fake_upstream.gone)


async def test_a_slow_reader_is_not_taken_for_a_late_upstream(http: Open, bodies: Any, fake_upstream: Any) -> None:
    fake_upstream.script("drip", delay=0.01)
    body = bodies["chat_completions"] | {"stream": True}
    events = []
    async with http(gap_s=0.6).stream("chat_completions", body, {}) as (_, coming):
        async for event in coming:
            events.append(event)
            if len(events) in (2, 9):
                await asyncio.sleep(1)
    assert said("chat_completions", events) == TEXT


@pytest.mark.parametrize(
    ("mode", "status", "kind"),
    [
        ("e400", 400, "invalid_request"),
        ("e429", 429, "rate_limit"),
        ("e500", 502, "upstream"),
        ("e503", 503, "overloaded"),
        ("html", 502, "upstream"),
        ("array", 502, "upstream"),
        ("redirect", 502, "upstream"),
        ("close", 502, "upstream"),
    ],
)
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_no_stream_is_told_by_status_and_kind_on_entering(
    http: Open, bodies: Any, fake_upstream: Any, mode: str, status: int, kind: str, dialect: str
) -> None:
    fake_upstream.script(mode)
    with pytest.raises(UpstreamFault) as caught:
        await http().stream(dialect, bodies[dialect] | {"stream": True}, {}).__aenter__()
    assert (caught.value.status, caught.value.kind) == (status, kind)


async def test_an_upstream_that_is_down_is_told_as_down(http: Open, bodies: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        _, fault = await broken(
            http(url=f"http://127.0.0.1:{taken.getsockname()[1]}/v1"), bodies["messages"], "messages"
        )
    assert (fault.status, fault.kind) == (503, "upstream")


async def test_a_whole_answer_where_a_stream_was_asked_for_is_given_as_such(
    http: Open, bodies: Any, fake_upstream: Any
) -> None:
    fake_upstream.script("not_a_stream")
    with pytest.raises(NotAStream) as caught:
        await http().stream("chat_completions", bodies["chat_completions"] | {"stream": True}, {}).__aenter__()
    assert caught.value.answered.data["choices"][0]["message"]["content"] == TEXT
    assert caught.value.status == 502  # what it is to one who knows no better


@pytest.mark.parametrize("mode", ["drip", "hang_mid", "endless"])
async def test_leaving_a_stream_is_seen_by_the_upstream(http: Open, bodies: Any, fake_upstream: Any, mode: str) -> None:
    fake_upstream.script(mode, delay=0.05)
    body = bodies["chat_completions"] | {"stream": True}
    async with http().stream("chat_completions", body, {}) as (_, events):
        await anext(events)
    left_at = time.time()
    (gone,) = await asyncio.to_thread(fake_upstream.gone)
    assert gone["gone_at"] - left_at < 10.0


@pytest.mark.parametrize("mode", ["hang", "hang_mid"])
async def test_a_cancelled_stream_is_seen_by_the_upstream(
    http: Open, read: Any, bodies: Any, fake_upstream: Any, mode: str
) -> None:
    fake_upstream.script(mode)
    task = asyncio.create_task(read(http(), "chat_completions", bodies["chat_completions"]))
    await asyncio.to_thread(fake_upstream.asked)
    await asyncio.sleep(0.05)
    left_at = time.time()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (gone,) = await asyncio.to_thread(fake_upstream.gone)
    assert gone["gone_at"] - left_at < 10.0


async def test_streams_read_to_their_end_share_a_connection(
    http: Open, read: Any, bodies: Any, fake_upstream: Any
) -> None:
    upstream = http()
    for dialect in (*DIALECTS, *DIALECTS):
        await read(upstream, dialect, bodies[dialect])
        await asyncio.sleep(0.01)
    assert len({request["port"] for request in fake_upstream.seen()}) == 1


async def test_a_stream_is_not_asked_for_compressed(http: Open, read: Any, bodies: Any, fake_upstream: Any) -> None:
    await read(http(), "chat_completions", bodies["chat_completions"])
    headers = fake_upstream.seen()[0]["headers"]
    assert (headers["accept"], headers["accept-encoding"]) == ("text/event-stream", "identity")


async def test_nothing_after_the_end_is_read() -> None:
    """The upstream goes on after `[DONE]`, in the same chunk and in later ones."""
    more = b'data: {"choices": [], "late": true}\n\n'
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        writer.write(b'data: {"choices": []}\n\ndata: [DONE]\n\n' + more)
        await writer.drain()
        writer.write(more)
        await reader.read()
        writer.close()
        await writer.wait_closed()
        over.set()

    from server.upstreams.settings import UpstreamSettings

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    upstream = HttpUpstream(UpstreamSettings(url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
    async with upstream.stream("chat_completions", {}, {}) as (_, events):
        given = [event async for event in events]
    assert [event.kind for event in given] == ["data", "done"]
    await upstream.close()
    await over.wait()
    server.close()
