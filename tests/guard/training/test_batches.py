from __future__ import annotations

import random
from collections import Counter

import pytest

from guard.training.batches import LONG, batches, text_of
from guard.training.rows import Row


@pytest.fixture
def rows():
    draw = random.Random(3)
    singles = [Row("x" * draw.randrange(5, 500) + str(n), n % 2 == 0, "a") for n in range(150)]
    answers = [Row(f"answer {n}", False, "b", f"question {n}") for n in range(40)]
    twins = [Row(f"twin {n} {bad}", bad, "c", pair=str(n)) for n in range(30) for bad in (True, False)]
    return [*singles, *answers, *twins]


def test_a_pass_shows_each_row_once_and_each_pair_as_often_as_asked(rows):
    shown = Counter(row for batch in batches(rows, 16, 2.0, random.Random(1)) for row in batch)
    missing = [row for row in rows if row not in shown]
    assert len(missing) <= 1, "a last batch of one row is nothing to learn from"
    assert {shown[row] for row in rows if row.pair} == {2}
    assert {shown[row] for row in rows if not row.pair and row not in missing} == {1}


def test_a_broken_number_of_times_is_kept_on_average(rows):
    shown = sum(
        row.pair is not None for seed in range(20) for b in batches(rows, 16, 1.5, random.Random(seed)) for row in b
    )
    assert shown / (20 * 60) == pytest.approx(1.5, abs=0.1)


def test_twins_stand_in_one_batch(rows):
    for batch in batches(rows, 16, 1.0, random.Random(1)):
        by_pair = Counter(row.pair for row in batch if row.pair)
        assert set(by_pair.values()) <= {2}


def test_a_batch_holds_one_side_and_long_texts_make_it_smaller(rows):
    for batch in batches(rows, 16, 1.0, random.Random(1)):
        assert len({row.answers for row in batch}) == 1
        assert 2 <= len(batch) <= 17
        if min(len(row.text) for row in batch) > LONG:
            assert len(batch) <= 9


def test_texts_of_a_batch_are_of_like_length(rows):
    singles = [row for row in rows if row.source == "a"]
    spread = [
        max(len(row.text) for row in batch) - min(len(row.text) for row in batch)
        for batch in batches(singles, 16, 1.0, random.Random(1))
    ]
    assert sum(spread) / len(spread) < 100, "of lengths from 5 to 500"


def test_the_same_seed_gives_the_same_order(rows):
    first, second, other = (list(batches(rows, 16, 1.5, random.Random(seed))) for seed in (1, 1, 2))
    assert first == second != other


def test_an_answer_is_read_behind_its_prompt_as_at_run_time(encoder):
    from guard.detectors._readings import readings
    from guard.exchange import Exchange

    question = "Which way to the harbour? " * 20
    (reading,) = readings(Exchange.of(question, "Down the hill."), 0, encoder)
    assert text_of(Row("Down the hill.", False, "a", question)) == reading.in_context
    assert text_of(Row("Down the hill.", False, "a")) == "Down the hill."
