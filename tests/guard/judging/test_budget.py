from __future__ import annotations

import pytest

from guard.judging.budget import Budget, BudgetSpent


class Clock:
    def __init__(self):
        self.now = 86_400.0 * 100

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def budget(clock, asks=None, tokens=None):
    return Budget(asks, tokens, monotonic=clock, now=clock)


def test_without_limits_everything_passes(clock):
    one = budget(clock)
    for _ in range(10_000):
        one.take(1_000_000)


def test_a_minute_holds_so_many_asks_and_fills_again_evenly(clock):
    one = budget(clock, asks=3)
    for _ in range(3):
        one.take(1)
    with pytest.raises(BudgetSpent, match="3 asks a minute"):
        one.take(1)
    clock.now += 20
    one.take(1)
    with pytest.raises(BudgetSpent):
        one.take(1)
    clock.now += 3600  # a long rest fills it, and no more
    for _ in range(3):
        one.take(1)
    with pytest.raises(BudgetSpent):
        one.take(1)


def test_tokens_are_set_aside_and_given_back(clock):
    one = budget(clock, tokens=100)
    day = one.take(80)
    with pytest.raises(BudgetSpent, match="100 tokens a day"):
        one.take(30)
    one.settle(day, 80, 10)
    assert one.tokens == 10
    one.take(90)


def test_an_ask_refused_for_its_tokens_costs_no_ask(clock):
    one = budget(clock, asks=1, tokens=10)
    with pytest.raises(BudgetSpent):
        one.take(11)
    one.take(10)


def test_midnight_brings_a_new_day_and_forgets_what_was_set_aside_before_it(clock):
    one = budget(clock, tokens=100)
    day = one.take(100)
    clock.now += 86_400
    one.take(60)
    one.settle(day, 100, 5)
    assert one.tokens == 60
