"""A parcel worked through with scripted models, the real gate and the real store: deaths, breaks, calls, the budget."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from constitution.calls import Meter
from constitution.determining import determined
from constitution.prompt import Prompt, prompt_id
from constitution.row import ROLES, Source
from constitution.sharded.board import run_digest
from constitution.sharded.parcel import Done, Parcel
from constitution.sharded.parcel_store import ParcelStore
from constitution.sharded.plan import WORK, Plan
from constitution.sharded.shards import read_shard
from constitution.sharded.work import Tools, Work
from guard.exchange import Message
from guard.gate import Gate
from guard.models import open_model
from guard.models.base import Ask, ModelUnavailable, Reply
from rules.schema import Constitution

KEEPS = json.dumps({"problem": "Nothing in it breaks the rule.", "verdict": "keeps", "quotes": []})
SCRIPT = [
    {"match": "Write my thinking", "text": "I think this is an everyday worry, and I would like to be of help here."},
    {"match": "You review", "where": "any", "text": KEEPS},
    {"text": "Water them in the morning, and ask a neighbour to look after them while you are away for the week."},
]
CALLS = 3
"""Of a row whose first answer stands: answer, critique, rationale."""

Before = Callable[[Ask], Awaitable[None]]


class Watched:
    """A scripted model that notes what it is asked, and does what a test says before it answers."""

    def __init__(self, script: Path, *, local: bool = False) -> None:
        self._model = open_model(f"scripted:{script}")
        self.identity = self._model.identity
        self.local = local
        self.asked: Counter[str] = Counter()
        self.before: Before | None = None
        self.in_flight = self.most_in_flight = 0

    async def chat(self, ask: Ask) -> Reply:
        self.asked[json.dumps([message.content for message in ask.messages])] += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if self.before is not None:
                await self.before(ask)
            return await self._model.chat(ask)
        finally:
            self.in_flight -= 1

    async def close(self) -> None:
        await self._model.close()


@pytest.fixture
def model(tmp_path) -> Watched:
    script = tmp_path / "script.json"
    script.write_text(json.dumps(SCRIPT))
    return Watched(script)


@pytest.fixture
def tools(plan, model) -> Iterator[Tools]:
    rule = {"id": "theft", "title": "Theft", "rule": "Do not help anyone steal.", "why": "People lose what is theirs."}
    constitution = Constitution.model_validate(
        {"name": "one", "title": "One", "rules": [{**rule, "detect": {"patterns": [{"literal": "steal"}]}}]}
    )
    made: Plan = replace(plan(), constitution=constitution)
    models: Any = dict.fromkeys(ROLES[:3], model)
    with ExitStack() as stack:
        gate = stack.enter_context(Gate.build(constitution, encoder=None))
        run = determined(made.settings, constitution, made.templates, models, gate)
        yield Tools(made, run, run_digest(run), models, gate, Meter())


def prompts(count: int, *more: str) -> tuple[tuple[int, Prompt], ...]:
    said = [f"How should I look after the plants on balcony {number}?" for number in range(count)]
    messages = [(Message("user", text),) for text in (*said, *more)]
    return tuple(
        (place, Prompt(prompt_id(each), each, Source(file="p", line=place + 1))) for place, each in enumerate(messages)
    )


def parcel(count: int, *more: str, name: str = "0001-00000000", carry: tuple[str, ...] = ()) -> Parcel:
    return Parcel(name, prompts(count, *more), carry)


async def work(tools: Tools, given: Parcel) -> Done:
    return await Work(tools, given, ramp_s=0).run()


async def killed(tools: Tools, given: Parcel, model: Watched, word: str) -> None:
    """Begins the parcel, and leaves it as a process leaves it that dies when the model is asked with `word`."""
    reached = asyncio.Event()

    async def before(ask: Ask) -> None:
        if word in ask.messages[-1].content:
            reached.set()
            await asyncio.Event().wait()

    model.before = before
    begun = Work(tools, given, ramp_s=0)
    task = asyncio.create_task(begun.run())
    async with asyncio.timeout(30):
        await reached.wait()
        while begun.tally.open > 1:  # noqa: ASYNC110  # the others get done: who is at work is not left to chance
            await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    model.before = None


def shard(tools: Tools, name: str = "0001-00000000") -> list[str]:
    return [columns[1] for columns in read_shard(tools.plan.out, name)]


def folder(tools: Tools, name: str = "0001-00000000") -> Path:
    return tools.plan.out / WORK / name


async def test_a_parcel_becomes_one_shard_in_the_order_of_the_input_and_its_store_goes(tools, model):
    done = await work(tools, given := parcel(5))
    assert done == Done(given.name, accepted=5)
    assert shard(tools) == [prompt.id for _, prompt in given.prompts]
    assert not folder(tools).exists()
    assert model.asked.total() == 5 * CALLS


async def test_a_parcel_that_is_taken_up_after_it_was_whole_asks_nothing_and_loses_nothing(tools, model):
    """Its worker died after it wrote the shard and before that was heard of."""
    await work(tools, parcel(5))
    assert await work(tools, parcel(5)) == Done("0001-00000000", accepted=5)
    assert model.asked.total() == 5 * CALLS
    assert len(shard(tools)) == 5


async def test_a_successor_asks_only_what_was_in_flight(tools, model):
    await killed(tools, parcel(4, "Poison?"), model, "Poison?")
    assert (await work(tools, parcel(4, "Poison?"))).accepted == 5
    assert [count for count in model.asked.values() if count > 1] == [2]
    assert len(shard(tools)) == 5


async def test_a_row_at_which_workers_die_is_worked_on_alone_and_then_put_aside(tools, model):
    given = parcel(3, "Poison?")
    poison = given.prompts[-1][1]
    for number in range(2):
        await killed(tools, given, model, "Poison?")
        with closing(ParcelStore(folder(tools))) as store:
            assert len(store.finished()) == 3
            query = "SELECT id, deaths FROM taken_up WHERE id NOT IN (SELECT id FROM rows)"
            assert store._select(query) == [(poison.id, number)]
    model.most_in_flight = 0
    await killed(tools, given, model, "Poison?")
    assert model.most_in_flight == 1
    done = await work(tools, given)
    assert (done.accepted, done.failed) == (3, 1)
    assert done.last_failure == "3 workers, or models in them, died while it was at work"
    assert len(shard(tools)) == 3
    with closing(ParcelStore(folder(tools))) as store:
        assert [failure[0] for failure in store.failures()] == [poison.id]


async def test_rows_at_which_workers_died_are_worked_on_one_at_a_time_in_the_whole_worker(tools, model):
    names = ("0001-00000000", "0001-00000001")
    parcels = [Parcel(name, prompts(0, *(f"{name} {n}" for n in range(4)))) for name in names]
    for given in parcels:
        with closing(ParcelStore(folder(tools, given.name))) as store:
            for _ in range(2):
                for _, prompt in given.prompts:
                    store.begin(prompt.id)
                store.died()

    async def before(_: Ask) -> None:
        await asyncio.sleep(0.002)

    model.before = before
    done = await asyncio.gather(*(work(tools, given) for given in parcels))
    assert [each.accepted for each in done] == [4, 4]
    assert model.most_in_flight == 1


async def test_calls_of_an_earlier_run_are_carried_over(tools, model):
    old = parcel(0, "Poison?", name="0001-00000007")
    await killed(tools, old, model, "Write my thinking")
    asked = model.asked.total()
    done = await work(tools, parcel(2, "Poison?", name="0002-00000000", carry=(old.name, "0001-00000099")))
    assert done.accepted == 3
    assert model.asked.total() - asked == 2 * CALLS + 1


async def test_a_row_that_cannot_be_answered_is_put_aside_and_made_when_the_parcel_is_taken_up_again(tools, model):
    async def fails(ask: Ask) -> None:
        if "Poison?" in ask.messages[-1].content:
            raise ModelUnavailable("busy for too long")

    model.before = fails
    done = await work(tools, parcel(3, "Poison?"))
    assert (done.accepted, done.failed, done.last_failure) == (3, 1, "busy for too long")
    assert len(shard(tools)) == 3
    model.before = None
    assert await work(tools, parcel(3, "Poison?")) == Done("0001-00000000", accepted=4)
    assert len(shard(tools)) == 4
    assert not folder(tools).exists()


async def test_a_dead_endpoint_ends_the_run_and_a_model_of_this_process_is_for_the_worker_to_mend(tools, model):
    async def dies(_: Ask) -> None:
        raise ModelUnavailable("nobody answers", "start it", endpoint_down=True)

    model.before = dies
    done = await work(tools, parcel(3))
    assert done.error is not None
    assert (done.error.what, done.error.hint, done.whole) == ("nobody answers", "start it", False)
    model.local = True
    with pytest.raises(ModelUnavailable):
        await work(tools, parcel(3))
    model.before = None
    assert (await work(tools, parcel(3))).accepted == 3, "the store was let go of"


async def test_a_spent_budget_ends_the_parcel_and_keeps_what_is_finished(tools, model):
    tools.meter.budget = 5_000
    done = await work(tools, parcel(30))
    assert done.spent is not None
    assert done.error is None
    assert not done.whole
    with closing(ParcelStore(folder(tools))) as store:
        tokens = store.tokens_of(store.known())
    assert 0 < tokens <= 5_000
    tools.meter.budget = None
    tools.meter._over = False
    assert (await work(tools, parcel(30))).accepted == 30
    assert max(model.asked.values()) == 1


async def test_a_store_that_cannot_be_made_ends_the_run_in_words(tools):
    (tools.plan.out / WORK).write_text("a file where the folder should be")
    done = await work(tools, parcel(1))
    assert done.error is not None
    assert "cannot be written" in done.error.what
