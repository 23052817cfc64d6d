"""The board: one claim, one budget, one count, whatever workers die or tell twice."""

from __future__ import annotations

import asyncio
import json

import pytest

from constitution.calls import BudgetSpent
from constitution.pipeline import Tally
from constitution.run import read_runs
from constitution.sharded.board import Board
from constitution.sharded.meter import LENT_AT_ONCE, LentMeter
from constitution.sharded.parcel import Done
from constitution.sharded.state import Cost, Progress, Reading, show
from guard.models.base import Usage


def test_the_budget_is_lent_once_and_never_beyond_what_is_left(plan):
    board = Board(plan(max_tokens_total=201_000), workers=2, spent=1_000)
    assert board.lend(10) == LENT_AT_ONCE
    assert board.lend(100_000) == 100_000
    assert board.lend(100_000) == 0
    assert board.lend(90_000) == 90_000
    assert board.lend(10) == (200_000 - LENT_AT_ONCE - 190_000) // 8


def test_of_a_small_budget_no_worker_is_lent_all(plan):
    board = Board(plan(max_tokens_total=8_000), workers=4, spent=0)
    assert [board.lend(100) for _ in range(4)] == [500, 468, 439, 412]


async def test_a_meter_borrows_as_it_needs_and_ends_the_run_where_it_gets_nothing():
    asked = []

    async def lend(tokens: int) -> int:
        asked.append(tokens)
        return 100 if len(asked) == 1 else 0

    meter = LentMeter(budget=0, lend=lend)
    await meter.reserve(60)
    meter.usage = Usage(20, 20)
    meter.give_back(60)
    await meter.reserve(60)  # 40 spent, 100 lent: it fits without another word
    assert asked == [60]
    meter.usage = Usage(50, 50)
    meter.give_back(60)
    with pytest.raises(BudgetSpent):
        await meter.reserve(1)


async def test_rows_that_begin_together_borrow_what_they_need_and_no_more():
    asked = []

    async def lend(tokens: int) -> int:
        asked.append(tokens)
        await asyncio.sleep(0)
        return max(tokens, LENT_AT_ONCE)

    meter = LentMeter(budget=0, lend=lend)
    await asyncio.gather(*(meter.reserve(1_000) for _ in range(20)))
    assert len(asked) == 3
    assert meter.reserved == 20_000


def test_calls_of_a_worker_that_fell_silent_are_not_in_flight(plan):
    now = [0.0]
    board = Board(plan(), workers=2, spent=0, clock=lambda: now[0])
    board.note("w1", Cost(calls=5, in_flight=4), {})
    now[0] = 60.0
    board.note("w2", Cost(calls=7, in_flight=3), {})
    assert (board.state().cost.calls, board.state().cost.in_flight) == (12, 3)


def test_a_parcel_that_died_at_once_is_no_row_finished(plan):
    board = Board(plan(), workers=1, spent=0)
    for number in range(6):
        board.hello()
        board.note(f"w{number}", Cost(), {f"p{number}": Progress(open=3)})
    assert "began 6 times" in board.state().hopeless


def test_paths_in_the_settings_count_from_the_drivers_folder(plan, determined, tmp_path, monkeypatch):
    """The board lives in a process of the cluster, which stands elsewhere."""
    (tmp_path / "own.yaml").write_text("")
    made = plan(rules=("own.yaml",))
    monkeypatch.chdir("/")
    Board(made, 1, 0, str(tmp_path)).admit(determined())
    assert json.loads((made.out / "settings.json").read_text())["rules"] == ["../own.yaml"]


def test_a_parcel_that_is_told_twice_counts_once_and_one_taken_up_again_replaces_what_it_was(plan):
    board = Board(plan(), workers=1, spent=0)
    board.note("w1", Cost(calls=5), {"p": Progress(accepted=3, open=2)})
    board.note("w2", Cost(calls=7), {"p": Progress(accepted=4, open=1)})  # w1 died, w2 has it now
    state = board.state()
    assert (state.rows.accepted, state.cost.calls) == (4, 12)
    for _ in range(2):
        board.finish(Done("p", accepted=8, rejected=1, failed=1, last_failure="down"))
    board.note("w1", Cost(calls=5), {"p": Progress(accepted=3)})  # a late word of the dead
    rows = board.state().rows
    assert (rows.accepted, rows.rejected, rows.failed, rows.last_failure) == (8, 1, 1, "down")


def test_the_first_worker_makes_the_folders_claim_and_one_that_differs_is_not_admitted(plan, determined):
    made = plan()
    board = Board(made, workers=2, spent=0)
    ours = determined()
    assert board.admit(ours) == (ours, None)
    assert read_runs(made.out) == (ours,)
    assert board.admit(ours) == (ours, None)
    run, refused = board.admit(determined(gate="another encoder"))
    assert run is None
    assert "another encoder" in refused.what
    assert "on every node" in refused.hint


def test_workers_that_die_and_die_without_a_row_in_between_end_the_run(plan):
    board = Board(plan(), workers=1, spent=0)
    for _ in range(5):
        board.hello()
    assert not board.state().hopeless
    board.note("w", Cost(), {"p": Progress(accepted=1)})
    for _ in range(5):
        board.hello()
    assert not board.state().hopeless, "a row was finished in between"
    board.hello()
    assert "began 6 times" in board.state().hopeless


def test_rows_of_before_are_told_apart_by_what_made_them(plan, determined):
    board = Board(plan(), workers=1, spent=0)
    board.admit(determined())
    constitution, run = board.state().made_by
    board.read(Reading(resumed={(constitution, run): 5, (constitution, "other"): 2, ("old", "older"): 1}, repeated=4))
    tally = Tally()
    show(board.state(), tally)
    assert (tally.resumed, tally.other_rules, tally.other_ways, tally.repeated) == (8, 1, 2, 4)
