"""Workers that are killed, told to reload and told to stop, all under load."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import psutil
import pytest

from tests.server.conftest import FakeUpstream
from tests.server.fake_upstream import TEXT
from tests.server.faults.clients import APIS, PHRASE, Came, Clients, clients_of, until
from tests.server.faults.conftest import kept, rows_of
from tests.server.serving import RULES, Served

Watched = Callable[..., AbstractAsyncContextManager[Clients]]

CALM = ["--set", "limits.lag_ms=0"]


def mixed(clients: Clients, number: int, **more: Any) -> Awaitable[Came]:
    """One of a mixed lot: over all APIs, streamed and not, every fifth with a prompt that is blocked."""
    text = f"Please {PHRASE}, for the {number}th time." if number % 5 == 0 else f"hello for the {number}th time"
    return clients.ask(text, APIS[number % 3], stream=number % 2 == 0, **more)


@asynccontextmanager
async def under_load(clients: Clients, at_once: int = 6) -> AsyncIterator[None]:
    """Requests of all kinds come while the block runs."""
    over = asyncio.Event()
    numbers = iter(range(100_000))

    async def go_on() -> None:
        while not over.is_set():
            await mixed(clients, next(numbers))
            await asyncio.sleep(0.01)

    going = [asyncio.create_task(go_on()) for _ in range(at_once)]
    try:
        yield
    finally:
        over.set()
        await asyncio.gather(*going)


def connections(pid: int, served: Served) -> int:
    """How many clients a worker has."""
    port = int(served.url.rpartition(":")[2])
    held = psutil.Process(pid).net_connections("tcp")
    return sum(each.laddr.port == port and each.status == psutil.CONN_ESTABLISHED for each in held)


async def test_a_worker_that_is_killed_costs_its_clients_their_connection_and_nobody_a_decision(
    serve: Callable[..., Served], watched: Watched, fake_upstream: FakeUpstream
) -> None:
    fake_upstream.script("drip", delay=0.01)
    served = serve("--workers", "2", *CALM).ready()
    pids = await asyncio.to_thread(served.until, lambda: len(found := served.pids()) == 2 and found)
    async with watched(served) as clients:
        async with under_load(clients, at_once=10):
            await until(lambda: len(clients.came) > 60)
            # Connections are taken by whoever is awake, and that may be one of the two for all of them.
            killed = max(pids, key=lambda pid: connections(pid, served))
            os.kill(killed, signal.SIGKILL)
            at = len(clients.came)
            await until(lambda: sum(came.is_whole for came in clients.came[at:]) > 40)
            await asyncio.to_thread(served.until, lambda: len(found := served.pids()) == 2 and killed not in found)
        broken = [came for came in clients.came if came.broken]
        assert 0 < len(broken) <= 10
        assert all(came.is_whole for came in clients.came if not came.broken)
        fake_upstream.forget()
        await kept(served, clients.told)
        await asyncio.to_thread(served.command, "audit", "export", "decisions.jsonl", "--folder", "data")
        lines = (served.folder / "decisions.jsonl").read_text().splitlines()
        exported = {row["id"]: row for row in map(json.loads, lines)}
        assert clients.told <= set(exported)
        for came in clients.came:
            if came.is_whole:
                assert exported[came.decision]["action"] == came.action
                assert exported[came.decision]["state"] == "complete"


ONLY_A = RULES.replace("[{literal: summon the kraken}]", "[{literal: summon the kraken}, {literal: said in a}]")
ONLY_B = RULES.replace("[{literal: summon the kraken}]", "[{literal: summon the kraken}, {literal: said in b}]")
ENDINGS = {"a": "said in a", "b": "said in b", "k": PHRASE}
SAID = {
    name: f"It is a long story of the sea, and it was {ending} once upon a time." for name, ending in ENDINGS.items()
}


@pytest.mark.parametrize("workers", [pytest.param("1", marks=pytest.mark.slow), "2"])
async def test_under_load_every_answer_is_wholly_of_the_old_rules_or_of_the_new(
    serve: Callable[..., Served], watched: Watched, fake_upstream: FakeUpstream, workers: str
) -> None:
    served = serve("--workers", workers, "--no-watch", *CALM, rules=ONLY_A).ready()
    for name, said in SAID.items():
        fake_upstream.script("ok", model=name, text=said)
        fake_upstream.script("drip", model=f"slow-{name}", text=said, delay=0.03)
    asked: list[tuple[str, Came]] = []
    over = asyncio.Event()
    async with watched(served) as clients:

        async def go_on(place: int) -> None:
            number = place
            while not over.is_set():
                name, number = "abk"[number % 3], number + 7
                model = f"slow-{name}" if number % 4 == 0 else name
                came = await clients.ask(api=APIS[number % 5 % 3], stream=number % 2 == 0, model=model)
                asked.append((SAID[name], came))
                await asyncio.sleep(0.005)

        going = [asyncio.create_task(go_on(place)) for place in range(8)]
        (digest,) = await asyncio.to_thread(digests, served)
        in_force, swaps = {digest: "a"}, []
        for turn in range(4):
            rules, name = ((ONLY_B, "b"), (ONLY_A, "a"))[turn % 2]
            served.rules.write_text(rules)
            served.tell(signal.SIGHUP)
            digest = await asyncio.to_thread(served.until, lambda was=digest: swapped(served, was))
            swaps.append(time.monotonic())
            assert in_force.setdefault(digest, name) == name
            at = len(asked)
            await until(lambda at=at: len(asked) > at + 20)
        over.set()
        await asyncio.gather(*going)
        assert len(in_force) == 2
        assert {came.digest for _, came in asked} == set(in_force)
        assert any(came.sent_at < swap < came.ended_at for _, came in asked for swap in swaps)
        rows = await kept(served, clients.told)
        for said, came in asked:
            blocks = PHRASE in said or f"said in {in_force[came.digest]}" in said
            assert came.is_whole
            assert rows[came.decision]["digest"] == came.digest
            assert rows[came.decision]["action"] == ("block" if blocks else "allow")
            assert (came.text == said) != blocks


def digests(served: Served) -> set[str]:
    """Those in force, in all workers that answer."""
    return {served.health()["constitutions"]["default"]["digest"] for _ in range(8)}


def swapped(served: Served, was: str) -> str:
    """The digest in force, once every worker has another than before."""
    found = digests(served)
    return found.pop() if len(found) == 1 and was not in found else ""


BAD = (RULES.replace("why:", "wy:"), "rules: [", "", RULES.replace("literal: summon", "regex: (summon"))


async def test_a_bad_file_under_load_changes_nothing_and_is_told(
    serve: Callable[..., Served], watched: Watched
) -> None:
    served = serve(*CALM).ready()
    async with watched(served) as clients:
        async with under_load(clients):
            for bad in (
                RULES.replace("why:", "wy:"),
                "rules: [",
                "",
                RULES.replace("literal: summon", "regex: (summon"),
            ):
                served.rules.write_text(bad)
                await asyncio.to_thread(served.until, lambda: served.health()["reload"] == "failed")
                at = len(clients.came)
                await until(lambda at=at: len(clients.came) > at + 20)
                page = await asyncio.to_thread(served.get, "/metrics")
                assert "wardlaw_reload_failed 1.0" in page.text
                served.rules.write_text(RULES)
                await asyncio.to_thread(served.until, lambda: served.health()["reload"] == "ok")
        assert all(came.is_whole for came in clients.came)
        assert len({came.digest for came in clients.came}) == 1
        assert sum("reload of `default` failed" in line["message"] for line in served.logged()) >= 4


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
async def test_told_to_stop_it_ends_what_is_in_hand_takes_nothing_new_and_loses_nothing(
    serve: Callable[..., Served], fake_upstream: FakeUpstream, workers: str
) -> None:
    fake_upstream.script("drip", model="slow", delay=0.05)
    served = serve("--workers", workers, *CALM).ready()
    async with clients_of(served) as clients, under_load(clients):
        streams = [asyncio.create_task(clients.ask(api=APIS[n % 3], stream=True, model="slow")) for n in range(12)]
        await until(lambda: sum(bool(came.raw) for came in clients.came) > 40)
        await until(lambda: len([came for came in clients.came if came.stream and came.raw]) >= 12)
        served.tell(signal.SIGTERM)
        ended = await asyncio.gather(*streams)
        assert await asyncio.to_thread(served.ended) == 0
        assert all(came.is_whole and came.text == TEXT for came in ended)
        assert (await clients.ask()).broken == "ClientConnectorError"
    # whoever was refused got nothing at all, and whoever was answered got it all
    assert all(came.is_whole for came in clients.came if came.raw)
    assert all(came.is_clean() for came in clients.came)
    assert clients.told == {each for each, row in rows_of(served).items() if row["state"] == "complete"}


async def test_what_outlasts_the_drain_ends_as_an_error_of_its_api(
    serve: Callable[..., Served], fake_upstream: FakeUpstream
) -> None:
    fake_upstream.script("endless", delay=0.02)
    served = serve("--drain", "0.5", *CALM).ready()
    async with clients_of(served) as clients:
        streams = [asyncio.create_task(clients.ask(api=APIS[n % 3], stream=True)) for n in range(6)]
        await until(lambda: len(clients.came) == 6 and all(came.raw for came in clients.came))
        fake_upstream.script("hang")
        waiting = [asyncio.create_task(clients.ask(api=api)) for api in APIS]
        await asyncio.to_thread(served.until, lambda: len(fake_upstream.seen()) == 9)
        served.tell(signal.SIGTERM)
        assert await asyncio.to_thread(served.ended) == 1
        for came in await asyncio.gather(*streams):
            assert came.error == "the server is shutting down"
            assert not came.broken
        for came in await asyncio.gather(*waiting):
            assert (came.status, came.error) == (503, "the server is shutting down")
    assert clients.told == {each for each, row in rows_of(served).items() if row["state"] == "complete"}
