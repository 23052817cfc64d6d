from __future__ import annotations

import pytest

from guard.judging.breaker import Breaker, BreakerOpen


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def breaker(clock):
    return Breaker(3, 30.0, monotonic=clock)


def fail(breaker, times):
    for _ in range(times):
        breaker.failed("connection refused", probe=breaker.enter())


def test_it_opens_after_so_many_failures_in_a_row_and_says_the_last(breaker):
    fail(breaker, 3)
    assert breaker.open
    with pytest.raises(BreakerOpen, match="3 failures in a row; the last: connection refused"):
        breaker.enter()


def test_a_success_in_between_begins_the_count_anew(breaker):
    fail(breaker, 2)
    breaker.enter()
    breaker.succeeded()
    fail(breaker, 2)
    assert not breaker.open


def test_after_its_rest_one_ask_probes_and_no_other_passes_meanwhile(breaker, clock):
    fail(breaker, 3)
    clock.now = 30.0
    assert breaker.enter() is True
    with pytest.raises(BreakerOpen):
        breaker.enter()
    breaker.succeeded()
    assert not breaker.open
    assert breaker.enter() is False


def test_a_probe_that_fails_means_another_rest(breaker, clock):
    fail(breaker, 3)
    clock.now = 30.0
    breaker.failed("still down", probe=breaker.enter())
    clock.now = 59.0
    with pytest.raises(BreakerOpen, match="still down"):
        breaker.enter()
    clock.now = 60.0
    assert breaker.enter() is True


def test_a_probe_that_says_nothing_leaves_the_next_ask_to_probe(breaker, clock):
    fail(breaker, 3)
    clock.now = 30.0
    breaker.passed_by(probe=breaker.enter())
    assert breaker.enter() is True


def test_asks_that_say_nothing_of_the_model_are_not_counted(breaker):
    for _ in range(10):
        breaker.passed_by(probe=breaker.enter())
    assert not breaker.open
