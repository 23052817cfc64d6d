"""The row machine: many rows at once, and what ends it."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import Any

import pytest

from constitution.calls import BudgetSpent
from constitution.claim import Claim, claim
from constitution.drawn import Drawn
from constitution.pipeline import RowMachine, Tally
from constitution.prompt import Prompt
from constitution.row import Source
from constitution.row_file import StoreError
from constitution.run import read_runs
from constitution.store import RowStore
from constitution.templates import TemplateSet
from guard.exchange import Message
from guard.models.base import ModelConfigError, ModelUnavailable


def prompt(number: int, *, line: int | None = None, file: str = "p") -> Prompt:
    source = Source(file=file, line=number + 1 if line is None else line)
    return Prompt(f"id{number}", (Message("user", str(number)),), source)


class Rows:
    """In the place of the loop: finishes rows as it is told, and notes how many were at work."""

    def __init__(self, row_with: Any, faults: dict[str, list[Exception]] | None = None) -> None:
        self._row_with = row_with
        self._faults = faults or {}
        self.begun: list[str] = []
        self.open = self.most_open = self.cancelled = 0

    async def run(self, prompt: Prompt) -> Any:
        self.begun.append(prompt.id)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await asyncio.sleep(0.001)
            waiting = self._faults.get(prompt.id)
            if waiting:
                raise waiting.pop(0)
            return self._row_with(id=prompt.id, source=prompt.source)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.open -= 1


@pytest.fixture
def store(tmp_path):
    with closing(RowStore(tmp_path)) as opened:
        yield opened


@pytest.fixture
def claimed(tmp_path, store, determined, sample_constitution):
    """Makes the claim of a run on the store's folder."""

    def make(**changes: Any) -> Claim:
        run, has_rows = determined(**changes), store.has_rows()
        return claim(tmp_path, run, sample_constitution, TemplateSet.read(), has_rows=has_rows, mixed=True)

    return make


@pytest.fixture
def machine(claimed, store):
    """Makes a row machine."""

    def make(rows: Rows, concurrency: int = 4, **changes: Any) -> RowMachine:
        return RowMachine(rows, store, Tally(), claimed(**changes), concurrency=concurrency, ramp_s=0)  # type: ignore[arg-type]

    return make


async def test_rows_run_at_once_up_to_the_bound_and_stand_in_the_order_of_the_input(machine, store, row_with):
    rows = Rows(row_with)
    made = machine(rows)
    await made.run(prompt(number) for number in range(50))
    assert rows.most_open == 4
    assert [row.id for row in store.rows()] == [f"id{number}" for number in range(50)]
    assert (made.tally.accepted, made.tally.open) == (50, 0)


async def test_prompts_are_drawn_as_places_get_free_never_all_at_once(machine, store, row_with):
    rows, drawn = Rows(row_with), 0

    def prompts() -> Any:
        nonlocal drawn
        for number in range(40):
            drawn += 1
            assert drawn - len(list(store.rows())) <= 5
            yield prompt(number)

    await machine(rows).run(prompts())
    assert drawn == 40


async def test_a_prompt_that_stands_twice_makes_one_row(machine, store, row_with):
    rows = Rows(row_with)
    made = machine(rows)
    await made.run(
        [prompt(1), prompt(1, line=9), prompt(2), prompt(2, line=10), *map(prompt, range(3, 20)), prompt(1, line=30)]
    )
    assert sorted(rows.begun) == sorted({f"id{number}" for number in range(1, 20)})
    assert made.tally.repeated == 3


async def test_rows_of_an_earlier_run_are_left_alone_whatever_file_their_prompts_stood_in(machine, row_with):
    await machine(Rows(row_with)).run(map(prompt, range(5)))
    rows = Rows(row_with)
    made = machine(rows)
    await made.run([prompt(2, file="other"), *map(prompt, range(8)), prompt(4, line=9), prompt(7, line=10)])
    assert sorted(rows.begun) == ["id5", "id6", "id7"]
    assert (made.tally.resumed, made.tally.repeated) == (5, 3)
    assert (made.tally.other_rules, made.tally.other_ways) == (0, 0)


@pytest.mark.parametrize(
    ("changes", "counted"),
    [
        ({"constitution": "1ater"}, (3, 0)),
        ({"constitution": "1ater", "models": {}}, (3, 0)),
        ({"templates": "1ater"}, (0, 3)),
        ({"models": {"answerer": "scripted:b"}}, (0, 3)),
        ({"sampling": {}}, (0, 3)),
    ],
)
async def test_rows_that_were_made_otherwise_are_counted_apart(machine, row_with, changes, counted):
    await machine(Rows(row_with)).run(map(prompt, range(3)))
    made = machine(Rows(row_with), **changes)
    await made.run(map(prompt, range(4)))
    assert (made.tally.resumed, made.tally.accepted) == (3, 1)
    assert (made.tally.other_rules, made.tally.other_ways) == counted


async def test_a_run_is_written_down_with_its_first_row_and_not_before(machine, determined, row_with, tmp_path):
    down = Rows(row_with, {"id0": [ModelUnavailable("down", endpoint_down=True)]})
    with pytest.raises(ModelUnavailable):
        await machine(down, 1, seed=1).run([prompt(0)])
    assert read_runs(tmp_path) == ()
    await machine(Rows(row_with), seed=2).run([prompt(0)])
    await machine(Rows(row_with), seed=3).run([prompt(0)])
    assert read_runs(tmp_path) == (determined(seed=2),), "the third added nothing"


async def test_a_prompt_that_failed_is_not_tried_again_where_it_stands_again(machine, row_with):
    rows = Rows(row_with, {"id1": [ModelUnavailable("too slow")]})
    made = machine(rows, 1)
    await made.run([prompt(1), prompt(2), prompt(1, line=9)])
    assert (made.tally.failed, made.tally.repeated, rows.begun) == (1, 1, ["id1", "id2"])


async def test_a_row_that_fails_is_put_aside_and_the_others_go_on(machine, store, row_with):
    rows = Rows(row_with, {"id3": [ModelUnavailable("too slow")]})
    made = machine(rows)
    await made.run(map(prompt, range(10)))
    assert (made.tally.accepted, made.tally.failed) == (9, 1)
    assert [failed for failed, _, _ in store.failures()] == ["id3"]
    await machine(rows).run(map(prompt, range(10)))
    assert len(list(store.rows())) == 10
    assert store.failures() == []


async def test_five_failures_with_no_row_between_end_the_run(machine, store, row_with):
    faults: dict[str, list[Exception]] = {f"id{number}": [ModelUnavailable("broken")] for number in range(3, 100)}
    rows = Rows(row_with, faults)
    with pytest.raises(ModelUnavailable, match="broken"):
        await machine(rows, 1).run(map(prompt, range(100)))
    assert len(rows.begun) == 8
    assert len(list(store.rows())) == 3


@pytest.mark.parametrize(
    "error",
    [
        ModelConfigError("no key"),
        ModelUnavailable("down", endpoint_down=True),
        BudgetSpent("spent"),
        StoreError("full"),
    ],
)
async def test_what_no_further_row_can_mend_ends_the_run_at_once_and_cancels_the_rest(machine, store, row_with, error):
    rows = Rows(row_with, {"id6": [error]})
    with pytest.raises(type(error)):
        await machine(rows).run(map(prompt, range(100)))
    assert len(rows.begun) < 15
    assert rows.open == 0


async def test_what_cannot_be_mended_is_told_before_a_spent_budget(machine, store, row_with):
    rows = Rows(row_with, {"id0": [BudgetSpent("spent")], "id1": [ModelConfigError("no key")]})
    with pytest.raises((ModelConfigError, BudgetSpent)) as caught:
        await machine(rows, 2).run(map(prompt, range(2)))
    assert str(caught.value) in {"no key", "spent"}


async def test_a_fault_of_the_input_ends_the_run_and_keeps_what_is_finished(machine, store, row_with):
    def prompts() -> Any:
        yield from map(prompt, range(6))
        raise ValueError("line 7")

    with pytest.raises(ValueError, match="line 7"):
        await machine(Rows(row_with), 2).run(prompts())
    assert len(list(store.rows())) >= 4


async def test_a_cancelled_run_cancels_its_rows(machine, store, row_with):
    rows = Rows(row_with)
    task = asyncio.create_task(machine(rows).run(map(prompt, range(10_000))))
    while not rows.open:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert rows.cancelled >= 1
    assert rows.open == 0


def test_a_full_disk_under_the_ids_that_were_drawn_is_said():
    with closing(Drawn()) as drawn:
        assert drawn.first("a")
        assert not drawn.first("a")
        drawn._db.execute("PRAGMA max_page_count = 4")
        with pytest.raises(StoreError, match="temporary files"):
            any(not drawn.first(f"id{number}") for number in range(5000))


async def test_the_first_rows_begin_one_after_the_other(claimed, store, row_with):
    rows = Rows(row_with)
    made = RowMachine(rows, store, Tally(), claimed(), concurrency=4, ramp_s=3600)  # type: ignore[arg-type]
    run = asyncio.create_task(made.run(prompt(number) for number in range(3)))
    while made.tally.accepted < 3:
        await asyncio.wait({run}, timeout=0.01)
    assert rows.most_open == 1, "the other places are still waiting for their turn"
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
