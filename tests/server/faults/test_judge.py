"""A judge that is down, or answers nothing: what it should have judged is blocked, or leaves and says so, as the rule
has it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager

import pytest

from tests.ports import refusing
from tests.server.conftest import FakeUpstream
from tests.server.fake_upstream import TEXT
from tests.server.faults.clients import APIS, PHRASE, Clients
from tests.server.faults.conftest import kept
from tests.server.serving import RULES, Served

Watched = Callable[..., AbstractAsyncContextManager[Clients]]

JUDGED = RULES.replace("meaning: null}", "meaning: null, judge: {when: always}}")


def judged(on_error: str) -> str:
    return JUDGED.replace("rules:\n", f"defaults: {{on_error: {on_error}}}\nrules:\n")


@pytest.fixture
def judges(fake_upstream: FakeUpstream) -> Iterator[dict[str, str]]:
    """A judge that takes no connection, and one that never answers."""
    fake_upstream.script("hang", model="judge")
    with refusing() as port:
        yield {"down": f"openai:http://127.0.0.1:{port}/v1#judge", "slow": f"openai:{fake_upstream.url}#judge"}


@pytest.mark.parametrize(
    ("how", "on_error"),
    [
        ("down", "block"),
        ("slow", "allow"),
        pytest.param("down", "allow", marks=pytest.mark.slow),
        pytest.param("slow", "block", marks=pytest.mark.slow),
    ],
)
async def test_a_judge_that_gives_no_answer_blocks_or_says_so_as_the_rule_has_it(
    serve: Callable[..., Served], watched: Watched, judges: dict[str, str], how: str, on_error: str
) -> None:
    served = serve("--set", f"gate.judge={judges[how]}", "--set", "gate.judge_s=0.3", rules=judged(on_error)).ready()
    async with watched(served, after=on_error == "allow") as clients:
        asks = [lambda api=api, on=on: clients.ask(api=api, stream=on) for api in APIS for on in (False, True)]
        for came in await clients.load(asks):
            assert came.is_whole
            assert came.headers["x-wardlaw-degraded"] == "judge"
            row = (await kept(served, [came.decision]))[came.decision]
            assert row["degraded"]
            if on_error == "block":
                assert came.action == "block"
                assert TEXT[:12] not in came.text
            else:
                assert came.action == "allow"
                assert came.text == TEXT
        # what patterns see is blocked in any case
        assert (await clients.ask(f"Please {PHRASE}.")).action == "block"
        assert (await clients.ask(f"say: Let us {PHRASE}.", stream=True)).is_clean()
    assert "wardlaw_degraded_total" in served.get("/metrics").text


async def test_who_waits_for_a_slow_judge_holds_up_nobody_else(
    serve: Callable[..., Served], watched: Watched, fake_upstream: FakeUpstream, judges: dict[str, str]
) -> None:
    served = serve("--set", f"gate.judge={judges['slow']}", "--set", "gate.judge_s=1.5", rules=judged("block")).ready()
    async with watched(served, after=False) as clients:
        waiting = asyncio.create_task(clients.ask())
        await asyncio.to_thread(fake_upstream.asked)
        for _ in range(10):
            assert (await clients.ask(f"Please {PHRASE}.")).action == "block"
        assert not waiting.done()
        assert (await waiting).headers["x-wardlaw-degraded"] == "judge"
