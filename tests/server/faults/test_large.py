"""Requests that are much work: they are answered, rightly, and others are served meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from tests.server.conftest import FakeUpstream
from tests.server.fake_upstream import TEXT
from tests.server.faults.clients import APIS, PHRASE, Came, Clients, body_of
from tests.server.serving import RULES, Served

Watched = Callable[[Served], AbstractAsyncContextManager[Clients]]

CATASTROPHIC = """\
  - id: only-the-letter-a
    title: Only the letter a
    rule: Do not say nothing but the letter a.
    why: Nobody learns anything from a row of letters.
    detect: {patterns: [{regex: '^(a+)+$'}, {regex: '(a|aa)+b'}, {regex: '(x+x+)+y'}], meaning: null}
"""
ROOM = [
    "--set",
    "limits.lag_ms=0",
    "--set",
    "limits.body_bytes=33554432",
    "--set",
    "limits.text_chars=20000000",
    "--set",
    "limits.messages=5000",
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, fake_upstream_process: FakeUpstream) -> Iterator[Served]:
    """One with raised limits."""
    folder = tmp_path_factory.mktemp("large")
    started = Served(folder, "--upstream", fake_upstream_process.url, *ROOM, rules=RULES + CATASTROPHIC)
    try:
        yield started.ready()
    finally:
        started.kill()


@pytest.fixture
async def clients(served: Served, watched: Watched, fake_upstream: FakeUpstream) -> AsyncIterator[Clients]:
    async with watched(served) as found:
        yield found
        fake_upstream.forget()


HELD_UP_S = 5.0
"""What another client may wait at most: a tenth of a second, on a machine that does nothing else."""


async def beside(clients: Clients, asking: Coroutine[Any, Any, Came]) -> Came:
    """What comes of a request, while others are served that are sent as long as it is in hand."""
    task = asyncio.create_task(asking)
    await asyncio.sleep(0.01)
    while not task.done():
        came = await clients.ask("say: meanwhile")
        assert came.text == "meanwhile"
        assert came.seconds < HELD_UP_S
        await asyncio.sleep(0.01)
    return await task


LONG = "The harbour is quiet tonight, and the boats are all in. " * 190_000
"""Ten million characters."""


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_prompt_of_ten_megabytes_is_judged_to_its_end_while_others_are_served(
    clients: Clients, stream: bool
) -> None:
    came = await beside(clients, clients.ask(f"{LONG}Now {PHRASE}.", stream=stream))
    assert came.action == "block"
    came = await beside(clients, clients.ask(LONG, stream=stream))
    assert came.text == TEXT


@pytest.mark.parametrize("api", APIS)
async def test_two_thousand_messages_are_judged_while_others_are_served(clients: Clients, api: str) -> None:
    many = with_turns(api, 2000)
    came = await beside(clients, clients.send(api, many))
    assert came.text == TEXT
    many["input" if api == "responses" else "messages"][-1]["content"] = f"Please {PHRASE}."
    assert (await clients.send(api, many)).action == "block"
    many["input" if api == "responses" else "messages"].append({"role": "assistant", "content": "No."})
    many["input" if api == "responses" else "messages"].append({"role": "user", "content": "What else?"})
    assert (await clients.send(api, many)).text == TEXT


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_pattern_that_backtracking_would_choke_on_is_linear(
    clients: Clients, fake_upstream: FakeUpstream, stream: bool
) -> None:
    letters = "a" * 50_000
    came = await beside(clients, clients.ask(letters, stream=stream))
    assert came.action == "block"
    came = await beside(clients, clients.ask(f"{letters}!", stream=stream))
    assert came.text == TEXT
    fake_upstream.script("ok", text=f"{letters}c {'x' * 50_000}")
    came = await beside(clients, clients.ask(stream=stream))
    assert came.action == "allow"
    assert len(came.text) == 100_002
    fake_upstream.script("ok", text=f"{letters}b {letters}")
    came = await beside(clients, clients.ask(stream=stream))
    assert f"{letters}b" not in came.text
    assert came.is_whole


def with_turns(api: str, count: int) -> dict[str, Any]:
    """A conversation of so many turns, each of its own words, and a question."""
    said = (f"Turn {number} of the {api} is on the harbour, its boats and the weather." for number in range(count))
    turns = [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(said)]
    body = body_of(api, "")
    body["input" if api == "responses" else "messages"] = [*turns, {"role": "user", "content": "What else?"}]
    return body
