"""The concurrency limit: its bound, its order, and no wake-up lost however calls are cancelled."""

from __future__ import annotations

import asyncio
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.models._limit import Limit


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


async def test_places_are_given_in_the_order_they_were_asked_for():
    limit, order = Limit(1), []

    async def work(number):
        async with limit:
            order.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*(work(number) for number in range(20)))
    assert order == list(range(20))


async def test_a_newcomer_does_not_overtake_one_who_waits():
    limit, order = Limit(1), []

    async def work(name):
        async with limit:
            order.append(name)

    async with limit:
        waiting = asyncio.create_task(work("waited"))
        await settle()
    await work("newcomer")
    await waiting
    assert order == ["waited", "newcomer"]


async def test_one_cancelled_just_as_it_was_woken_hands_its_place_on():
    limit = Limit(1)
    await limit.__aenter__()
    first, second = (asyncio.create_task(limit.__aenter__()) for _ in range(2))
    await settle()
    await limit.__aexit__(None, None, None)  # wakes `first`, which has not run yet
    first.cancel()
    await asyncio.wait_for(second, 20)
    assert limit.in_flight == 1
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_one_cancelled_while_it_waits_leaves_no_trace():
    limit = Limit(1)
    async with limit:
        waiting = asyncio.create_task(limit.__aenter__())
        await settle()
        waiting.cancel()
        await settle()
    assert limit.in_flight == 0
    await asyncio.wait_for(limit.__aenter__(), 20)


def test_overload_halves_the_bound_once_a_round_trip():
    limit = Limit(32)
    sent = time.monotonic()
    for _ in range(10):
        limit.overloaded(sent)
    assert limit.current == 16
    limit.overloaded(time.monotonic())
    assert limit.current == 8


def test_the_bound_never_falls_below_one():
    limit = Limit(3)
    for _ in range(10):
        limit.overloaded(time.monotonic())
    assert limit.current == 1


async def test_success_raises_the_bound_only_while_it_is_reached_and_never_above_the_most():
    limit = Limit(4)
    limit.overloaded(time.monotonic())
    limit.overloaded(time.monotonic())
    assert limit.current == 1
    limit.succeeded()
    assert limit.current == 1  # no one was held back
    async with limit:
        for _ in range(50):
            limit.succeeded()
    assert limit.current == 2  # one in flight reaches a bound of 1, and not one of 2


async def test_a_raised_bound_lets_waiters_in_at_once():
    limit = Limit(2)
    limit.overloaded(time.monotonic())
    async with limit:
        waiting = asyncio.create_task(limit.__aenter__())
        await settle()
        assert not waiting.done()
        limit.succeeded()
        await asyncio.wait_for(waiting, 20)
        assert limit.in_flight == 2


def test_a_limit_of_nothing_is_refused():
    with pytest.raises(ValueError, match="lets nothing through"):
        Limit(0)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5), st.integers(0, 2**32))
def test_whatever_is_cancelled_all_others_get_their_turn_and_the_bound_holds(most, seed):
    async def storm():
        draw, limit, running, finished = random.Random(seed), Limit(most), [0, 0], []

        async def work(number):
            async with limit:
                running[0] += 1
                running[1] = max(running)
                try:
                    sent = time.monotonic()
                    for _ in range(draw.randrange(4)):
                        await asyncio.sleep(0)
                    if draw.random() < 0.2:
                        limit.overloaded(sent)
                    else:
                        limit.succeeded()
                finally:
                    running[0] -= 1
            finished.append(number)

        tasks = [asyncio.create_task(work(number)) for number in range(40)]
        cancelled = set()
        for _ in range(25):
            await asyncio.sleep(0)
            victim = draw.randrange(40)
            if draw.random() < 0.5 and tasks[victim].cancel():
                cancelled.add(victim)
        # A lost wake-up would leave the rest waiting for ever.
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
        assert set(finished) | cancelled == set(range(40))
        assert limit.in_flight == 0
        assert running[1] <= most

    asyncio.run(storm())
