"""What is turned away, and when it may come again."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack

import pytest

from server.keys.key import Key
from server.limits import Rate, ServerLimits
from server.parts import Busy
from server.record import Caller
from server.settings import LimitSettings


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Known:
    """Keys by their ids."""

    def __init__(self, *keys: Key) -> None:
        self.keys = {key.id: key for key in keys}

    def key(self, key_id: str) -> Key | None:
        return self.keys.get(key_id)


def limits(*keys: Key, workers: int = 1, clock: Clock | None = None, **settings: float) -> ServerLimits:
    return ServerLimits(
        LimitSettings.model_validate(settings), Known(*keys), workers=workers, clock=clock or time.monotonic
    )


def test_a_minute_holds_as_many_requests_as_the_key_may_send_and_refills_evenly() -> None:
    clock = Clock()
    rate = Rate(clock)
    assert [rate.take("a", 6) for _ in range(6)] == [0.0] * 6
    assert rate.take("a", 6) == pytest.approx(10.0)
    assert rate.take("b", 6) == 0.0
    clock.now += 10
    assert rate.take("a", 6) == 0.0
    assert rate.take("a", 6) == pytest.approx(10.0)
    clock.now += 3600
    assert [rate.take("a", 6) for _ in range(6)] == [0.0] * 6
    assert rate.take("a", 6) > 0


def test_a_share_below_one_request_a_minute_lets_one_through_when_its_time_has_come() -> None:
    clock = Clock()
    held = limits(Key("k", "k", "", requests_per_minute=1), workers=4, clock=clock)
    with held.enter(Caller("k")):
        pass
    with pytest.raises(Busy) as busy, held.enter(Caller("k")):
        pass
    assert busy.value.retry_after == pytest.approx(240)
    clock.now += 240
    with held.enter(Caller("k")):
        pass


def test_a_key_that_sends_too_often_is_told_when_to_come_again() -> None:
    clock = Clock()
    held = limits(Key("k", "k", "", requests_per_minute=2), clock=clock)
    for _ in range(2):
        with held.enter(Caller("k")):
            pass
    with pytest.raises(Busy) as raised, held.enter(Caller("k")):
        pass
    assert raised.value.retry_after == pytest.approx(30)
    assert held.in_flight == 0
    with held.enter(Caller("other")):
        pass


def test_a_key_has_so_many_requests_in_hand_and_no_more() -> None:
    held = limits(Key("k", "k", "", concurrent=2))
    with ExitStack() as stack:
        stack.enter_context(held.enter(Caller("k")))
        with held.enter(Caller("k")), pytest.raises(Busy), held.enter(Caller("k")):
            pass
        stack.enter_context(held.enter(Caller("k")))
    assert held.in_flight == 0


def test_each_worker_gives_a_key_its_share() -> None:
    held = limits(Key("k", "k", "", requests_per_minute=8, concurrent=4), workers=4)
    with held.enter(Caller("k")), pytest.raises(Busy), held.enter(Caller("k")):
        pass
    with held.enter(Caller("k")):
        pass
    with pytest.raises(Busy, match="8 requests a minute"), held.enter(Caller("k")):
        pass


def test_a_request_is_counted_out_however_it_ends() -> None:
    held = limits(Key("k", "k", "", concurrent=1))
    with pytest.raises(ValueError, match="broken"), held.enter(Caller("k")):
        raise ValueError("broken")
    with held.enter(Caller("k")):
        assert held.in_flight == 1


def test_a_key_that_is_revoked_while_it_has_requests_in_hand_leaves_no_count_behind() -> None:
    known = Known(Key("k", "k", "", concurrent=1))
    held = ServerLimits(LimitSettings(), known)
    with held.enter(Caller("k")):
        del known.keys["k"]
        with held.enter(Caller("k")):
            pass
        assert held.in_flight == 1
    assert held.in_flight == 0


def test_a_worker_with_too_much_in_hand_turns_new_requests_away_and_takes_nothing_from_a_rate() -> None:
    held = limits(Key("k", "k", "", requests_per_minute=1), in_flight=1)
    with held.enter(Caller()):
        for _ in range(3):
            with pytest.raises(Busy), held.enter(Caller("k")):
                pass
    assert held.shed == 3
    with held.enter(Caller("k")):
        pass


def test_a_gate_that_cannot_keep_up_turns_requests_away_and_says_when_it_will_have_room() -> None:
    waits = [0.5, 2.4, 0.5]
    held = ServerLimits(LimitSettings(gate_wait_ms=1000), Known(), gate_wait=lambda: waits.pop(0))
    with held.enter(Caller()):
        pass
    with pytest.raises(Busy, match="the gate") as raised, held.enter(Caller()):
        pass
    assert raised.value.retry_after == 3
    with held.enter(Caller()):
        pass
    never = ServerLimits(LimitSettings(gate_wait_ms=0), Known(), gate_wait=lambda: 99.0)
    with never.enter(Caller()):
        pass


async def test_an_event_loop_that_runs_late_turns_requests_away_until_it_is_well_again() -> None:
    held = limits(lag_ms=20)
    told: list[float] = []
    watching = asyncio.create_task(held.watch_lag(told.append))
    with held.enter(Caller()):
        pass
    for _ in range(15):
        time.sleep(0.08)  # noqa: ASYNC251
        await asyncio.sleep(0.051)
    with pytest.raises(Busy, match="too busy"), held.enter(Caller()):
        pass
    async with asyncio.timeout(30):
        while held.lag_s * 1000 > 20:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    with held.enter(Caller()):
        pass
    watching.cancel()
