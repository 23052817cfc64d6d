"""Clients that go away, that send what is no request, and that send more than is good for others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from tests.server.conftest import FakeUpstream
from tests.server.faults.clients import APIS, PATHS, Clients, body_of, until
from tests.server.faults.conftest import kept, rows_of
from tests.server.serving import Served

Watched = Callable[..., AbstractAsyncContextManager[Clients]]

SOON_S = 10.0
"""Within which the upstream sees that nobody waits any more: about one second, on a machine that does nothing else."""


TOLD: set[str] = set()
"""Decisions that clients of this file were told of."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, fake_upstream_process: FakeUpstream) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("client-faults")
    apis = 'upstream.apis=["chat_completions", "messages", "responses"]'
    started = Served(folder, "--upstream", fake_upstream_process.url, "--set", apis, "--set", "limits.lag_ms=0")
    try:
        yield started.ready()
        asyncio.run(kept(started, TOLD))
    finally:
        started.kill()


@pytest.fixture
async def clients(served: Served, watched: Watched, fake_upstream: FakeUpstream) -> AsyncIterator[Clients]:
    async with watched(served, keep=False) as found:
        yield found
        fake_upstream.forget()
    TOLD.update(found.told)


def left(served: Served) -> int:
    """How many clients the audit says have gone."""
    return sum(row["fault"] == "client_gone" for row in rows_of(served).values())


@pytest.mark.parametrize(
    ("mode", "stream"), [("hang", False), ("hang", True), ("hang_mid", False), ("hang_mid", True), ("endless", True)]
)
async def test_the_upstream_is_let_go_when_its_client_has_gone(
    clients: Clients, served: Served, fake_upstream: FakeUpstream, mode: str, stream: bool
) -> None:
    fake_upstream.script(mode, delay=0.02)
    before = left(served)
    for number, api in enumerate(APIS, 1):
        fake_upstream.forget()
        fake_upstream.script(mode, delay=0.02)
        asking = asyncio.create_task(clients.ask(api=api, stream=stream))
        await asyncio.to_thread(fake_upstream.asked)
        if stream and mode != "hang":
            await until(lambda: clients.came[-1].raw)
        await asyncio.sleep(0.1)
        asking.cancel()
        went = time.time()
        await asyncio.gather(asking, return_exceptions=True)
        gone = await asyncio.to_thread(fake_upstream.gone, SOON_S)
        assert len(gone) == 1, api
        assert gone[0]["gone_at"] - went < SOON_S
        await asyncio.to_thread(served.until, lambda many=before + number: left(served) == many)


async def test_clients_that_go_away_all_at_once_leave_nothing_behind(
    clients: Clients, served: Served, fake_upstream: FakeUpstream
) -> None:
    fake_upstream.script("endless", delay=0.05)
    before = left(served)
    asking = [asyncio.create_task(clients.ask(api=APIS[n % 3], stream=True)) for n in range(60)]
    await until(lambda: len(clients.came) == 60 and all(came.raw for came in clients.came))
    for each in asking:
        each.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    await asyncio.to_thread(served.until, lambda: len([s for s in fake_upstream.seen() if s["ended"] == "gone"]) == 60)
    await asyncio.to_thread(served.until, lambda: left(served) == before + 60)
    await asyncio.to_thread(served.until, lambda: "wardlaw_in_flight 0.0" in served.get("/metrics").text)


NO_REQUESTS: dict[str, bytes] = {
    "nothing": b"",
    "half": b'{"model": "fake", "messages": [{"role": "us',
    "not-json": b"model=fake&messages=hello",
    "a-list": b"[1, 2]",
    "a-word": b'"hello"',
    "null": b"null",
    "not-utf8": b'{"model": "fake", "messages": "\xff\xfe"}',
    "half-a-surrogate": b'{"model": "fake", "messages": [{"role": "user", "content": "\\ud800"}], "max_tokens": 5}',
    "nan": b'{"model": "fake", "temperature": NaN, "messages": []}',
    "deep": b'{"model": "fake", "messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "turns-of-another-kind": b'{"model": "fake", "max_tokens": 5, "messages": {"role": "user"}, "input": 7}',
    "a-turn-that-is-none": b'{"model": "fake", "max_tokens": 5, "messages": [7], "input": [7]}',
    "a-text-that-is-none": (
        b'{"model": "fake", "max_tokens": 5, "messages": [{"role": "user", "content": 7}],'
        b' "input": [{"role": "user", "content": 7}]}'
    ),
    "a-stream-that-is-a-word": (
        b'{"model": "fake", "max_tokens": 5, "stream": "yes", "messages": [{"role": "user", "content": "hi"}],'
        b' "input": "hi"}'
    ),
}


@pytest.mark.parametrize("name", NO_REQUESTS)
async def test_what_is_no_request_is_refused_in_the_shape_of_its_api_and_asks_nobody(
    clients: Clients, fake_upstream: FakeUpstream, name: str
) -> None:
    for api in APIS:
        came = await clients.send(api, NO_REQUESTS[name])
        assert came.status == 400, (api, came.raw)
        assert came.error
        assert (came.data.get("type") == "error") == (api == "messages")
    assert fake_upstream.seen() == []


async def test_a_body_that_ends_before_its_length_holds_nobody_up(clients: Clients, served: Served) -> None:
    host, port = served.url.removeprefix("http://").split(":")
    pending = []
    for path in PATHS.values():
        _, writer = await asyncio.open_connection(host, int(port))
        head = f"POST {path} HTTP/1.1\r\nhost: here\r\ncontent-type: application/json\r\ncontent-length: 9999\r\n\r\n"
        writer.write(head.encode() + b'{"model": "fake", ')
        await writer.drain()
        pending.append(writer)
    assert (await clients.ask()).is_whole
    for writer in pending:
        writer.close()
        await writer.wait_closed()
    await asyncio.to_thread(served.until, lambda: "wardlaw_in_flight 0.0" in served.get("/metrics").text)


@pytest.mark.parametrize("api", APIS)
async def test_more_than_the_limits_allow_is_refused_and_says_by_which_limit(
    clients: Clients, fake_upstream: FakeUpstream, api: str
) -> None:
    long = await clients.ask("a quiet word. " * 800_000, api=api)
    assert long.status == 413
    assert "8388608 bytes" in long.error
    wide = await clients.ask("a quiet word. " * 200_000, api=api)
    assert wide.status == 400
    assert "2000000 characters" in wide.error
    many = body_of(api, "hello")
    many["input" if api == "responses" else "messages"] = turns(2000)
    refused = await clients.send(api, many)
    assert refused.status == 400
    assert "2000 messages" in refused.error
    assert fake_upstream.seen() == []


def turns(count: int) -> list[dict[str, Any]]:
    """A conversation of so many turns, each of its own words."""
    said = (f"Turn {number} of the talk is on the harbour, its boats and the weather there." for number in range(count))
    return [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(said)]
