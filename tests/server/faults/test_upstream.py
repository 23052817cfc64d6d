"""Whatever an upstream does, a client is told an error of its API or a whole answer, in time, and nothing unscanned."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.ports import unused
from tests.server.conftest import FakeUpstream
from tests.server.fake_upstream import NON_ASCII, TEXT
from tests.server.faults.clients import APIS, PHRASE, Came, Clients
from tests.server.faults.conftest import kept
from tests.server.serving import Served

Watched = Callable[..., AbstractAsyncContextManager[Clients]]

BROKEN_OFF = "broke off its"
LATE = "in time"
QUICK = ["--set", "upstream.first_s=1.2", "--set", "upstream.gap_s=0.6", "--set", "limits.lag_ms=0"]
BOUNDED = ["--set", "upstream.answer_bytes=65536"]
ASKED_IN_ALL = ["--set", 'upstream.apis=["chat_completions", "messages", "responses"]']
GUARDED = f"All is calm. Now {PHRASE} at once, I say, and {PHRASE.upper()} again. " + "The tide goes out. " * 6
"""What an upstream says that breaks a rule, early in its answer and once more."""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory, fake_upstream_process: FakeUpstream) -> Iterator[Any]:
    """One that asks the upstream in each API's own dialect, and one that translates to chat completions."""
    folder, url = tmp_path_factory.mktemp("upstream-faults"), fake_upstream_process.url
    usual = ["--upstream", url, *QUICK, *BOUNDED]
    started = [Served(folder / "own", *usual, *ASKED_IN_ALL), Served(folder / "translated", *usual)]
    try:
        told: dict[Served, set[str]] = {served.ready(): set() for served in started}
        yield told
        for served, ids in told.items():
            assert ids
            asyncio.run(kept(served, ids))
    finally:
        for served in started:
            served.kill()


class Everywhere:
    """Clients of both servers."""

    def __init__(self, all_clients: list[Clients]) -> None:
        self.all_clients = all_clients

    async def ask(self, *, stream: bool) -> list[Came]:
        """Ask both in all APIs at once."""
        asks = [clients.ask(api=api, stream=stream) for clients in self.all_clients for api in APIS]
        return list(await asyncio.gather(*asks))

    async def rows(self) -> dict[str, dict[str, Any]]:
        """What the audit has of all answers."""
        found = await asyncio.gather(*(kept(clients.served, clients.told) for clients in self.all_clients))
        return {decision: row for rows in found for decision, row in rows.items()}


@pytest.fixture
async def everywhere(servers: Any, watched: Watched, fake_upstream: FakeUpstream) -> AsyncIterator[Everywhere]:
    """Clients of both; the test's fault is over when it is seen that they still answer."""
    async with AsyncExitStack() as stack:
        all_clients = [await stack.enter_async_context(watched(served, keep=False)) for served in servers]
        yield Everywhere(all_clients)
        fake_upstream.forget()
    for clients in all_clients:
        servers[clients.served] |= clients.told


WHOLE = {
    "slow": (504, LATE),
    "hang": (504, LATE),
    "hang_mid": (504, LATE),
    "e500": (502, "answers with status 500"),
    "e503": (503, "answers with status 503"),
    "e429": (429, "too many requests"),
    "garbage": (502, "no JSON object"),
    "array": (502, "no JSON object"),
    "html": (502, "another type of content"),
    "close": (502, "sent no HTTP answer"),
    "cut": (502, BROKEN_OFF),
    "redirect": (502, "answers with status 307"),
    "too_long": (502, "more than 65536 bytes"),
}


@pytest.mark.parametrize("mode", WHOLE)
async def test_a_broken_whole_answer_is_an_error_of_the_api(
    everywhere: Everywhere, fake_upstream: FakeUpstream, mode: str
) -> None:
    status, why = WHOLE[mode]
    if mode == "too_long":
        fake_upstream.script("ok", body={"filler": "x" * 100_000})
    else:
        fake_upstream.script(mode, text=GUARDED, delay=3)
    for came in await everywhere.ask(stream=False):
        assert came.status == status, (came.api, came.raw)
        assert why in came.error
        assert not came.broken
        assert came.decision
        if mode == "e429":
            assert came.headers["retry-after"] == "7"


NOT_BEGUN = {
    "slow": (504, LATE),
    "hang": (504, LATE),
    "e500": (502, "answers with status 500"),
    "e429": (429, "too many requests"),
    "html": (502, "another type of content"),
    "close": (502, "sent no HTTP answer"),
    "redirect": (502, "answers with status 307"),
}


@pytest.mark.parametrize("mode", NOT_BEGUN)
async def test_a_stream_that_never_begins_is_an_error_with_its_status(
    everywhere: Everywhere, fake_upstream: FakeUpstream, mode: str
) -> None:
    status, why = NOT_BEGUN[mode]
    fake_upstream.script(mode, delay=3)
    for came in await everywhere.ask(stream=True):
        assert came.status == status, (came.api, came.raw)
        assert why in came.error
        if mode == "e429":
            assert came.headers["retry-after"] == "7"


BREAKS_OFF = {
    "cut": BROKEN_OFF,
    "no_end": BROKEN_OFF,
    "garbage": "no JSON object",
    "hang_mid": LATE,
    "error_event": "out of memory",
    "endless": "streams more than it may",
}


@pytest.mark.parametrize("mode", BREAKS_OFF)
async def test_a_stream_that_breaks_off_ends_as_an_error_of_the_api(
    everywhere: Everywhere, fake_upstream: FakeUpstream, mode: str
) -> None:
    fake_upstream.script(mode, text="The sea is calm. " * 8)
    for came in await everywhere.ask(stream=True):
        assert not came.broken
        assert not came.is_whole
        assert BREAKS_OFF[mode] in came.error, (came.api, came.raw[-300:])
        assert came.status == 200 or not came.text
    assert all(row["fault"] for row in (await everywhere.rows()).values())


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("mode", ["one_byte", "utf8_cut", "drip", "gzip", "crlf", "comments"])
async def test_an_answer_that_is_cut_oddly_on_its_way_arrives_as_it_was_meant(
    everywhere: Everywhere, fake_upstream: FakeUpstream, mode: str, stream: bool
) -> None:
    fake_upstream.script(mode, delay=0.01)
    for came in await everywhere.ask(stream=stream):
        assert came.is_whole, (came.api, came.raw[-300:])
        assert came.text == (NON_ASCII if mode == "utf8_cut" else TEXT)
        assert came.action == "allow"


async def test_a_whole_answer_where_a_stream_was_asked_for_is_guarded_and_told_as_one(
    everywhere: Everywhere, fake_upstream: FakeUpstream
) -> None:
    fake_upstream.script("not_a_stream")
    for came in await everywhere.ask(stream=True):
        assert came.is_whole
        assert came.text == TEXT


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    "mode", ["ok", "one_byte", "utf8_cut", "drip", "cut", "no_end", "garbage", "hang_mid", "endless", "not_a_stream"]
)
async def test_what_breaks_a_rule_leaves_by_no_fault_of_the_upstream(
    everywhere: Everywhere, fake_upstream: FakeUpstream, mode: str, stream: bool
) -> None:
    fake_upstream.script(mode, text=GUARDED, delay=0.01)
    answers = await everywhere.ask(stream=stream)
    rows = await everywhere.rows()
    for came in answers:
        assert came.is_clean()
        assert came.is_whole or came.error
        row = rows[came.decision]
        assert row["action"] == "block" or row["fault"]
        if mode in ("ok", "one_byte", "utf8_cut", "drip", "not_a_stream"):
            assert row["action"] == "block", (came.api, came.raw)


async def test_an_upstream_that_is_down_is_told_at_once_and_is_asked_again_once_it_is_there(
    serve: Callable[..., Served], watched: Watched, tmp_path: Path
) -> None:
    port = unused()
    served = serve("--upstream", f"http://127.0.0.1:{port}/v1").ready()
    fake = None
    try:
        async with watched(served) as clients:
            asks = [lambda api=api, on=on: clients.ask(api=api, stream=on) for api in APIS for on in (False, True)]
            for came in await clients.load(asks):
                assert came.status == 503
                assert "takes no connection" in came.error
            assert (await clients.ask(f"please {PHRASE}")).action == "block"
            ready = served.get("/readyz")
            assert ready.status_code == 503
            assert ready.json()["why_not"] == ["the upstream does not answer"]
            fake = FakeUpstream(port)
            assert (await clients.ask()).text == TEXT
            served.until(lambda: served.get("/readyz").status_code == 200)
            fake.stop()
            assert (await clients.ask()).status == 503
            fake = FakeUpstream(port)
    finally:
        if fake is not None:
            fake.stop()
