"""Asking within bounds, against a model that does as the test says."""

from __future__ import annotations

import asyncio

import pytest

from guard.behind import behind
from guard.exchange import Message
from guard.judging.asker import Asker, NotAnswered, Unreadable, digest_of, most_tokens
from guard.judging.settings import AskLimits
from guard.models.base import Ask, ContentRefused, ContextTooLong, ModelUnavailable, Reply, Sampling, Usage


class Model:
    """Answers with `outcome`: a reply, an error, or an event that it waits for."""

    identity = "test"
    local = True

    def __init__(self, outcome=None):
        self.outcome = outcome or Reply("yes", usage=Usage(10, 2))
        self.calls = 0
        self.in_flight = self.most = 0

    async def chat(self, ask):
        self.calls += 1
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        try:
            await asyncio.sleep(0)
            if isinstance(self.outcome, asyncio.Event):
                await self.outcome.wait()
                return Reply("late")
            if isinstance(self.outcome, Exception):
                raise self.outcome
            return self.outcome
        finally:
            self.in_flight -= 1

    async def close(self):
        pass


QUESTION = Ask((Message("user", "Is it?"),), Sampling(max_tokens=10))


def text_of(reply):
    return reply.text


async def ask(asker, key):
    return await asker.ask(key, QUESTION, text_of)


async def test_the_same_question_is_asked_once(caplog):
    model = Model()
    asker = Asker(model, AskLimits())
    assert [await ask(asker, "a"), await ask(asker, "a"), await ask(asker, "b")] == ["yes"] * 3
    assert model.calls == 2


async def test_the_least_recently_asked_is_forgotten_first():
    model = Model()
    asker = Asker(model, AskLimits(remembered=2))
    for key in ("a", "b", "a", "c", "a"):
        await ask(asker, key)
    assert model.calls == 3
    await ask(asker, "b")
    assert model.calls == 4
    forgetful = Asker(Model(), AskLimits(remembered=0))
    await ask(forgetful, "a")
    await ask(forgetful, "a")
    assert forgetful._model.calls == 2


async def test_an_answer_that_cannot_be_read_is_not_kept_and_does_not_trip_the_breaker():
    model = Model()
    asker = Asker(model, AskLimits(failures=1))

    def refuse(reply):
        raise Unreadable("nonsense")

    for _ in range(3):
        with pytest.raises(Unreadable):
            await asker.ask("a", QUESTION, refuse)
    assert model.calls == 3
    assert await ask(asker, "a") == "yes"


async def test_what_is_not_worth_keeping_is_asked_again():
    model = Model()
    asker = Asker(model, AskLimits())
    for _ in range(2):
        await asker.ask("a", QUESTION, text_of, keep=lambda found: False)
    assert model.calls == 2


async def test_no_more_are_asked_at_once_than_there_are_places():
    model = Model()
    asker = Asker(model, AskLimits(concurrency=3))
    await asyncio.gather(*(ask(asker, key) for key in range(20)))
    assert model.most == 3


async def test_a_late_answer_is_no_answer_and_frees_its_place():
    model = Model(asyncio.Event())
    asker = Asker(model, AskLimits(deadline_s=0.05, concurrency=1))
    with pytest.raises(NotAnswered, match=r"no answer within 0\.05 s"):
        await ask(asker, "a")
    assert model.in_flight == 0
    model.outcome = Reply("yes")
    assert await ask(asker, "a") == "yes"


async def test_waiting_for_a_place_counts_towards_the_deadline():
    model = Model(asyncio.Event())
    asker = Asker(model, AskLimits(deadline_s=0.05, concurrency=1))
    outcomes = await asyncio.gather(*(ask(asker, key) for key in range(3)), return_exceptions=True)
    assert all(isinstance(outcome, NotAnswered) for outcome in outcomes)
    assert model.calls < 3
    assert "no free place" in outcomes[-1].what


async def test_a_model_that_keeps_failing_is_left_alone_and_tried_again_after_a_rest():
    model = Model(ModelUnavailable("connection refused"))
    asker = Asker(model, AskLimits(failures=2, rest_s=0.5))
    for _ in range(2):
        with pytest.raises(NotAnswered, match="connection refused"):
            await ask(asker, "a")
    with pytest.raises(NotAnswered, match="left alone after 2 failures"):
        await ask(asker, "a")
    assert model.calls == 2
    model.outcome = Reply("yes")
    await asyncio.sleep(0.51)
    assert await ask(asker, "a") == "yes"
    assert await ask(asker, "b") == "yes"


@pytest.mark.parametrize("error", [ContextTooLong("too long"), ContentRefused("refused")])
async def test_a_text_that_the_model_cannot_take_does_not_shut_it_for_others(error):
    model = Model(error)
    asker = Asker(model, AskLimits(failures=1))
    for _ in range(3):
        with pytest.raises(NotAnswered, match=error.what):
            await ask(asker, "a")
    model.outcome = Reply("yes")
    assert await ask(asker, "a") == "yes"


async def test_the_budget_of_asks_is_kept_and_answers_from_memory_are_free():
    asker = Asker(Model(), AskLimits(asks_per_minute=2))
    await ask(asker, "a")
    await ask(asker, "a")
    await ask(asker, "b")
    with pytest.raises(NotAnswered, match="2 asks a minute"):
        await ask(asker, "c")
    assert await ask(asker, "a") == "yes"


async def test_tokens_are_counted_as_the_model_reports_them():
    asker = Asker(Model(Reply("yes", usage=Usage(30, 10))), AskLimits(tokens_per_day=80 + most_tokens(QUESTION)))
    for key in range(3):
        await ask(asker, key)  # 40 tokens each
    with pytest.raises(NotAnswered, match="tokens a day"):
        await ask(asker, "d")


async def test_a_call_of_unknown_cost_counts_for_what_it_may_have_cost():
    asker = Asker(Model(Reply("yes")), AskLimits(tokens_per_day=most_tokens(QUESTION) + 5))
    await ask(asker, "a")
    with pytest.raises(NotAnswered, match="tokens a day"):
        await ask(asker, "b")


async def test_a_caller_who_goes_away_frees_place_and_probe():
    model = Model(ModelUnavailable("down"))
    asker = Asker(model, AskLimits(failures=1, rest_s=0.01, concurrency=1))
    with pytest.raises(NotAnswered):
        await ask(asker, "a")
    await asyncio.sleep(0.02)
    model.outcome = asyncio.Event()
    waiting = asyncio.create_task(ask(asker, "a"))
    await asyncio.sleep(0.02)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    model.outcome = Reply("yes")
    assert await ask(asker, "a") == "yes"


def test_keys_of_different_texts_differ_however_they_are_cut():
    assert (
        len({digest_of("a", "b"), digest_of("ab"), digest_of("ab", ""), digest_of("", "ab"), digest_of("\ud800")}) == 5
    )


async def test_what_nobody_waits_for_leaves_places_to_those_who_wait():
    """A gate judges for the record what it judged already: queues of that must not make a request's judge late."""
    held = asyncio.Event()
    model = Model(held)
    asker = Asker(model, AskLimits(concurrency=4, deadline_s=5))
    with behind():
        queued = [asyncio.create_task(ask(asker, f"record {n}")) for n in range(20)]
    while not model.calls:  # noqa: ASYNC110
        await asyncio.sleep(0)
    waited_for = asyncio.create_task(ask(asker, "request"))
    while model.calls < 2:  # noqa: ASYNC110
        await asyncio.sleep(0)
    assert model.in_flight == 2
    held.set()
    assert await waited_for == "late"
    assert set(await asyncio.gather(*queued)) == {"late"}
    assert model.most <= 2


async def test_the_failures_of_what_nobody_waits_for_do_not_shut_the_model_for_others():
    model = Model(ModelUnavailable("gone"))
    asker = Asker(model, AskLimits(failures=2))
    with behind():
        for n in range(5):
            with pytest.raises(NotAnswered):
                await ask(asker, f"record {n}")
    model.outcome = Reply("yes", usage=Usage(10, 2))
    assert await ask(asker, "request") == "yes"
