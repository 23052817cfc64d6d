"""A candidate that is slow, broken or overrun touches no request; what it misses is counted."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from guard.detectors.base import Cover, Scan
from guard.detectors.patterns import Patterns
from guard.exchange import Exchange, Message
from guard.gate import Gate
from guard.guard import Guard
from guard.guarding.incoming import Answer, Incoming
from guard.window.outcomes import Channel
from rules.load import load
from rules.schema import Part, Rule
from server.audit.shadow import Compared
from server.dialects.chat_completions import DIALECT as CHAT
from server.inforce import InForce
from server.parts import Parts
from server.proxy.endpoint import Endpoint
from server.settings import ServerSettings
from server.shadow import given as kept_texts
from server.shadow import judging
from server.shadow.given import Given, TooLong, looks_of
from server.shadow.judging import Shadowing
from server.upstreams.http import HttpUpstream
from tests.server.in_loop import serving
from tests.server.proxy.conftest import Doorway, Full, MemoryAudit, Noted
from tests.server.serving import RULES
from tests.server.shadow.conftest import CANDIDATE

GOLD = "the buried gold"


class Doing:
    """A detector that does something at each look, and finds nothing."""

    name, identity, instant, skips_clear = "doing", "doing 1", True, False

    def __init__(self, do: Callable[[], object]) -> None:
        self.do = do

    def covers(self, _: Rule, __: Part) -> Cover:
        return Cover(by="doing")

    def scan(self, exchanges: Sequence[Exchange]) -> list[Scan]:
        self.do()
        return [Scan() for _ in exchanges]

    def close(self) -> None:
        pass


class Counts:
    def __init__(self) -> None:
        self.flips: list[str] = []
        self.dropped: list[str] = []

    def shadow_judged(self, _: str, flip: str) -> None:
        self.flips.append(flip)

    def shadow_dropped(self, _: str, why: str) -> None:
        self.dropped.append(why)


class Stand:
    """A server with a candidate, all in the test's own loop."""

    def __init__(self, url: str, guards: InForce, shadowing: Shadowing, counts: Counts, audit: Any) -> None:
        self.guards, self.shadowing, self.counts, self.audit = guards, shadowing, counts, audit
        self.kept: list[Compared] = []
        self.client = httpx.AsyncClient(base_url=url, timeout=20, trust_env=False)

    async def ask(self, text: str, **more: Any) -> httpx.Response:
        body = {"model": "fake", "messages": [{"role": "user", "content": text}], **more}
        return await self.client.post("/v1/chat/completions", json=body)

    async def until(self, true: Callable[[], Any]) -> None:
        async with asyncio.timeout(20):
            while not true():  # noqa: ASYNC110
                await asyncio.sleep(0.005)


@pytest.fixture
async def stand(fake_upstream: Any, tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Opens servers: `await stand(do)`; `do` is done at each look of the candidate."""
    closing = AsyncExitStack()

    def guard_of(rules: str, name: str, *detectors: Any) -> Guard:
        path = tmp_path / name
        path.write_text(rules)
        constitution = load(path).constitution
        return Guard(Gate(constitution, [Patterns(constitution), *detectors]))

    async def opened(do: Callable[[], object] = lambda: None, *, keeps: bool = True, **more: Any) -> Stand:
        settings = ServerSettings.model_validate({"upstream": {"url": fake_upstream.url}})
        guards = InForce({"default": guard_of(RULES, "rules.yaml")})
        candidate = guard_of(CANDIDATE, "candidate.yaml", Doing(do))
        guards.swap_candidate("default", candidate)
        counts = Counts()
        made: list[Stand] = []

        def keep(compared: Compared) -> bool:
            made[0].kept.append(compared)
            return keeps

        shadowing = Shadowing(guards, keep, counts, **more)
        shadowing.begin({"default": candidate.gate.digest})
        upstream = HttpUpstream(settings.upstream)
        audit: Any = MemoryAudit()
        telemetry: Any = Noted()
        parts = Parts(settings, guards, upstream, audit, Doorway(), Full(), telemetry, shadow=shadowing)
        app = Starlette(routes=[Route("/v1/chat/completions", Endpoint(parts, CHAT), methods=["POST"])])
        closing.callback(guards.close)
        closing.push_async_callback(upstream.close)
        port = await closing.enter_async_context(serving(app))
        made.append(Stand(f"http://127.0.0.1:{port}", guards, shadowing, counts, audit))
        closing.push_async_callback(made[0].client.aclose)
        closing.push_async_callback(shadowing.close, 0.0)
        shadowing.start()
        return made[0]

    async with closing:
        yield opened


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_answers_come_while_the_candidate_is_still_blocked(stand: Callable[..., Any], stream: bool) -> None:
    free, looking = threading.Event(), threading.Event()

    def wait() -> None:
        looking.set()
        assert free.wait(30)

    at = await stand(wait)
    try:
        for n in range(5):
            answer = await at.ask(f"{GOLD} {n}", stream=stream)
            assert answer.status_code == 200
            assert "harbour" in answer.text
        await at.until(looking.is_set)
        assert at.kept == []
        assert at.shadowing.waiting == 5
    finally:
        free.set()
    await at.until(lambda: len(at.kept) == 5)
    assert at.counts.flips == ["stricter"] * 5
    assert at.shadowing.waiting == 0


async def test_what_there_is_no_room_for_is_dropped_and_counted(stand: Callable[..., Any]) -> None:
    free = threading.Event()
    at = await stand(lambda: free.wait(30), queue=3)
    try:
        for n in range(10):
            assert (await at.ask(f"hello {n}")).status_code == 200
        await at.until(lambda: len(at.counts.dropped) == 6)  # one is being judged, three wait
        assert set(at.counts.dropped) == {"full"}
    finally:
        free.set()
    await at.until(lambda: len(at.kept) == 4)
    assert at.shadowing.told()["default"]["dropped"] == {"full": 6}


async def test_texts_that_wait_are_bounded_in_characters_too(
    stand: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "CHARACTERS", 2000)
    free = threading.Event()
    at = await stand(lambda: free.wait(30))
    try:
        for _ in range(3):
            await at.ask("x" * 900)
        await at.until(lambda: at.counts.dropped == ["full"])
    finally:
        free.set()
    await at.until(lambda: len(at.kept) == 2)
    await at.ask("x" * 900)
    await at.until(lambda: len(at.kept) == 3)


async def test_what_is_longer_than_is_kept_is_left_out(
    stand: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "LIMIT", 50)
    monkeypatch.setattr(kept_texts, "LIMIT", 50)
    at = await stand()
    assert (await at.ask("x" * 60)).status_code == 200  # the question is too long
    assert (await at.ask("short", stream=True)).status_code == 200  # the answer is
    await at.until(lambda: at.counts.dropped == ["too_long"] * 2)


async def test_a_candidate_whose_detector_raises_is_no_flip_and_goes_on(stand: Callable[..., Any]) -> None:
    faults = [OSError("the model file is gone")]

    def fail_once() -> None:
        if faults:
            raise faults.pop()

    at = await stand(fail_once)
    assert (await at.ask(GOLD)).status_code == 200
    assert (await at.ask(f"{GOLD} again")).status_code == 200
    await at.until(lambda: len(at.kept) == 2)
    assert [(each.degraded, each.flip) for each in at.kept] == [(True, ""), (False, "stricter")]


async def test_a_candidate_that_cannot_judge_at_all_is_counted(
    stand: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    at = await stand()
    compare = judging.compare
    monkeypatch.setattr(judging, "compare", lambda case: 1 / 0)
    assert (await at.ask(GOLD)).status_code == 200
    await at.until(lambda: at.counts.dropped == ["failed"])
    assert "the candidate of `default` does not judge: ZeroDivisionError" in caplog.text
    monkeypatch.setattr(judging, "compare", compare)
    await at.ask(GOLD)
    await at.until(lambda: at.counts.flips == ["stricter"])


class Panic(BaseException):
    """What libraries written in Rust raise where they break is no `Exception`."""


async def test_a_candidate_that_breaks_its_library_is_counted_and_the_next_request_is_judged(
    stand: Callable[..., Any],
) -> None:
    faults = [Panic("a text that nobody thought of")]

    def break_once() -> None:
        if faults:
            raise faults.pop()

    at = await stand(break_once)
    assert (await at.ask(GOLD)).status_code == 200
    await at.until(lambda: at.counts.dropped == ["failed"])
    assert (await at.ask(f"{GOLD} again")).status_code == 200
    await at.until(lambda: at.counts.flips == ["stricter"])


async def test_what_the_audit_has_no_room_for_is_counted(stand: Callable[..., Any]) -> None:
    at = await stand(keeps=False)
    assert (await at.ask(GOLD)).status_code == 200
    await at.until(lambda: at.counts.dropped == ["not_kept"])


async def test_closing_waits_for_what_it_may_and_drops_the_rest(stand: Callable[..., Any]) -> None:
    free = threading.Event()
    at = await stand(lambda: free.wait(30))
    try:
        for n in range(3):
            await at.ask(f"hello {n}")
        await at.until(lambda: at.shadowing.waiting == 3)
        await at.shadowing.close(0.05)
        assert at.counts.dropped == ["stopped"] * 3
        assert at.shadowing.collects("default") is None
    finally:
        free.set()


async def test_an_old_candidate_is_closed_when_what_it_has_to_judge_is_judged(
    stand: Callable[..., Any], tmp_path: Path
) -> None:
    free, closed = threading.Event(), threading.Event()
    at = await stand(lambda: free.wait(30))
    _, old = at.guards.pair("default")
    with old as guard:
        guard.gate.close = closed.set
    await at.ask(GOLD)
    await at.until(lambda: at.shadowing.waiting == 1)
    constitution = load(tmp_path / "rules.yaml").constitution
    at.guards.swap_candidate("default", Guard(Gate(constitution, [Patterns(constitution)])))
    assert not closed.is_set()
    free.set()
    await at.until(closed.is_set)
    assert at.kept[0].flip == "stricter"


def test_what_is_judged_again_are_the_new_turns_and_each_text_of_each_choice() -> None:
    messages = (
        Message("system", "be kind"),
        Message("user", "first"),
        Message("assistant", "an old answer"),
        Message("user", "second"),
    )
    given = Given()
    text, thought = Channel(), Channel("reasoning")
    given.take([Answer({text: "one", thought: "hm"}), Answer({text: "two"})])
    looks = looks_of(Incoming(messages), given)
    assert [(where, str(part), exchange.messages[-1].content) for where, part, exchange in looks] == [
        ("messages[0]", "system", "be kind"),
        ("messages[3]", "prompt", "second"),
        ("choices[0].text", "response", "one"),
        ("choices[0].reasoning", "reasoning", ""),
        ("choices[1].text", "response", "two"),
    ]
    assert looks[1][2].messages[0].content == "first"  # looked at together with the turns before
    assert looks[2][2].messages[0].content == "second"


def test_the_texts_of_an_endless_stream_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_texts, "LIMIT", 10)
    given = Given()
    for _ in range(100):
        given.add(0, Channel(), "abc")
    assert not given._texts
    with pytest.raises(TooLong):  # a part of them would be judged as if it were all
        looks_of(Incoming((Message("user", "hello"),)), given)


async def test_what_was_judged_last_is_let_go_of(stand: Callable[..., Any], tmp_path: Path) -> None:
    """Until the next request, it would keep the texts, and after a reload the gates before."""
    at = await stand()
    await at.ask(GOLD)
    await at.until(lambda: at.kept and not at.shadowing.waiting)
    base, candidate = at.guards.pair("default")
    with base as guard:
        gate = weakref.ref(guard.gate)
    del base, candidate, guard
    constitution = load(tmp_path / "rules.yaml").constitution
    at.guards.swap({"default": Guard(Gate(constitution, [Patterns(constitution)]))})

    def gone() -> bool:
        gc.collect()
        return gate() is None

    await at.until(gone)
