"""A database that is away and a disk that is full: requests go on or fail as is set, and what was told is not lost."""

from __future__ import annotations

import asyncio
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, closing, contextmanager
from typing import Any

import pytest

from server.keys.store import KeyStore
from tests.server.conftest import FakeUpstream
from tests.server.fake_upstream import TEXT
from tests.server.faults.clients import APIS, PHRASE, Clients, until
from tests.server.faults.conftest import kept, rows_of
from tests.server.serving import Served

Watched = Callable[..., AbstractAsyncContextManager[Clients]]

AWAY_S = 1.0
NOT_RECORDED = "the decision could not be recorded"


@pytest.mark.parametrize(
    "away_s", [AWAY_S, pytest.param(30.0, marks=pytest.mark.slow)], ids=["briefly", "for-half-a-minute"]
)
async def test_while_the_database_is_away_requests_go_on_and_nothing_is_lost(
    serve: Callable[..., Served], watched: Watched, postgres: Any, away_s: float
) -> None:
    url = postgres.database()
    keys = ["--set", "auth=keys", "--set", "keys_refresh_s=0.3"]
    served = serve("--database", url, *keys, "--set", "limits.lag_ms=0").ready()
    with closing(KeyStore(url)) as store:
        secret = store.add("a client")[1]
    async with watched(served, key=secret, url=url) as clients:
        await asyncio.to_thread(served.until, lambda: served.ask("hello", key=secret).status_code == 200)
        over = asyncio.Event()

        async def go_on() -> None:
            while not over.is_set():
                text = (f"Please {PHRASE}.", "hello")[len(clients.came) % 2]
                came = await clients.ask(
                    text, APIS[len(clients.came) % 3], stream=len(clients.came) % 4 > 1, key=secret
                )
                assert came.is_whole, came.raw
                await asyncio.sleep(0.02)

        going = [asyncio.create_task(go_on()) for _ in range(4)]
        await asyncio.sleep(0.5)
        await asyncio.to_thread(postgres.stop)
        try:
            before = len(clients.came)
            await asyncio.sleep(away_s)
            await until(lambda: len(clients.came) > before + 10)
            told = await asyncio.to_thread(served.health)
            assert told["degraded"]["audit"]
            assert told["degraded"]["keys"]
            assert told["audit"]["waiting_bytes"] > 0
            assert (await asyncio.to_thread(served.get, "/readyz")).status_code == 200
        finally:
            await asyncio.to_thread(postgres.start)
        await asyncio.to_thread(served.until, lambda: not served.health()["degraded"])
        over.set()
        await asyncio.gather(*going)
        await kept(served, clients.told, url)
        extra = set(rows_of(served, url)) - clients.told
        assert len(extra) == 1  # the first request of all
        assert served.health()["audit"]["lost"] == 0


@pytest.mark.parametrize("on_failure", ["block", pytest.param("allow", marks=pytest.mark.slow)])
async def test_with_decisions_written_to_the_database_at_once_its_absence_fails_requests_or_not_as_is_set(
    serve: Callable[..., Served], watched: Watched, postgres: Any, on_failure: str
) -> None:
    url = postgres.database()
    how = ["--set", "audit.write=database", "--set", f"audit.on_failure={on_failure}", "--set", "audit.commit_s=0.5"]
    served = serve("--database", url, *how).ready()
    async with watched(served, url=url) as clients:
        assert (await clients.ask()).is_whole
        await asyncio.to_thread(postgres.stop)
        try:
            asks = [lambda api=api, on=on: clients.ask(api=api, stream=on) for api in APIS for on in (False, True)]
            asks.append(lambda: clients.ask(f"Please {PHRASE}."))
            for came in await clients.load(asks):
                if on_failure == "allow":
                    assert came.is_whole
                    continue
                assert came.status == 503
                assert NOT_RECORDED in came.error
                assert came.headers["retry-after"]
                assert TEXT[:12] not in came.raw.decode()
            ready = (await asyncio.to_thread(served.get, "/readyz")).status_code
            assert ready == (503 if on_failure == "block" else 200)
        finally:
            await asyncio.to_thread(postgres.start)
        await asyncio.to_thread(served.until, lambda: served.ask("hello").status_code == 200)


@contextmanager
def full_disk(served: Served) -> Iterator[None]:
    """The server can make no file grow: no journal, no database, no log."""
    soft, hard = resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE, (soft, hard))


async def test_with_a_full_disk_requests_fail_where_the_audit_must_be_whole(
    serve: Callable[..., Served], watched: Watched, fake_upstream: FakeUpstream
) -> None:
    served = serve().ready()
    async with watched(served) as clients:
        assert (await clients.ask()).is_whole
        fake_upstream.script("drip", model="slowly", delay=0.1)
        begun = asyncio.create_task(clients.ask(stream=True, model="slowly"))
        await until(lambda: len(clients.came) == 2 and clients.came[-1].raw)
        with full_disk(served):
            asks = [lambda api=api, on=on: clients.ask(api=api, stream=on) for api in APIS for on in (False, True)]
            asks.append(lambda: clients.ask(f"Please {PHRASE}."))
            for came in await clients.load(asks):
                assert came.status == 503
                assert NOT_RECORDED in came.error
                assert TEXT[:12] not in came.raw.decode()
            stream = await begun
            assert not stream.is_whole
            assert NOT_RECORDED in stream.error
            ready = await asyncio.to_thread(served.get, "/readyz")
            assert ready.status_code == 503
        # what was told of the stream at its beginning is kept; its end is not known
        clients.came.remove(stream)
        await asyncio.to_thread(served.until, lambda: served.ask("hello").status_code == 200)
        await asyncio.to_thread(served.until, lambda: served.get("/readyz").status_code == 200)
        assert served.health()["audit"]["lost"] == 0
    assert stream.decision in rows_of(served)
    served.tell(signal.SIGTERM)
    assert served.ended() == 0


async def test_with_a_full_disk_requests_go_on_where_that_is_set_and_the_loss_is_counted(
    serve: Callable[..., Served], watched: Watched
) -> None:
    served = serve("--set", "audit.on_failure=allow").ready()
    async with watched(served) as clients:
        before = await clients.ask()
        with full_disk(served):
            asks = [lambda api=api, on=on: clients.ask(api=api, stream=on) for api in APIS for on in (False, True)]
            lost = await clients.load(asks)
            assert all(came.is_whole and came.text == TEXT for came in lost)
            blocked = await clients.ask(f"Please {PHRASE}.")
            assert blocked.action == "block"
        assert served.health()["audit"]["lost"] >= 7
        clients.came = [came for came in clients.came if came not in (*lost, blocked)]
        assert before in clients.came
        after = await clients.ask()
    assert after.decision in await kept(served, [after.decision])
