"""The budget: what calls in flight may come to is set aside, and given back."""

from __future__ import annotations

import asyncio

import pytest

from constitution.calls import BudgetSpent, Meter, _writable, most_tokens
from guard.exchange import Message
from guard.models.base import Ask, Reply, Sampling, Usage


async def test_a_call_waits_for_what_one_in_flight_gives_back():
    meter = Meter(budget=100, before=20)
    await meter.reserve(60)
    waiting = asyncio.create_task(meter.reserve(60))
    await asyncio.sleep(0)
    assert not waiting.done()
    meter.usage += Usage(5, 5)
    meter.give_back(60)
    await waiting
    assert (meter.spent, meter.reserved) == (30, 60)


async def test_a_call_that_does_not_fit_once_nothing_is_in_flight_ends_the_run_with_the_final_figure():
    meter = Meter(budget=100)
    await meter.reserve(60)
    waiting = asyncio.create_task(meter.reserve(60))
    await asyncio.sleep(0)
    meter.usage += Usage(50, 5)
    meter.give_back(60)
    with pytest.raises(BudgetSpent, match="budget of 100 tokens is spent: 55 are used, and the next call may take 60"):
        await waiting
    with pytest.raises(BudgetSpent):
        await meter.reserve(1)
    assert meter.reserved == 0


async def test_without_a_budget_nothing_waits():
    meter = Meter()
    await meter.reserve(10**9)
    await meter.reserve(10**9)


def test_the_estimate_counts_prompt_and_answer_and_is_no_smaller_in_chinese():
    def most(text: str) -> int:
        return most_tokens(Ask((Message("user", text),), Sampling(max_tokens=100)))

    assert most("a" * 300) == 100 + 100 + 16
    assert most("怎" * 300) == 300 + 100 + 16


def test_half_a_surrogate_pair_is_replaced_in_the_reasoning_too():
    reply = _writable(Reply("a \ud83d", reasoning="b \udc00"))
    assert (reply.text, reply.reasoning) == ("a \ufffd", "b \ufffd")
