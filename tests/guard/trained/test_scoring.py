from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.trained.scoring import any_logit, probability, scores
from guard.trained.sides import Side

# A machine at work on something else is no fault of the scores.
unhurried = settings(deadline=None)
LOGITS = st.lists(st.lists(st.floats(-80, 80, width=32), min_size=4, max_size=4), min_size=1, max_size=5)


def side(**more):
    """Heads whose logits are the vector itself."""
    return Side(np.eye(4, dtype=np.float32), np.zeros(4, np.float32), **more)


def of(rows):
    return np.array(rows, np.float32), np.zeros(len(rows), bool)


@unhurried
@given(LOGITS, st.floats(0.05, 3), st.floats(-5, 5))
def test_the_highest_score_of_a_row_is_the_calibrated_probability_of_any_break(rows, slope, offset):
    heads = side(slope=slope, offset=offset)
    vectors, other = of(rows)
    found = scores(heads, vectors, range(4), other)
    for row, logits in zip(found, rows, strict=True):
        top = max(*logits, -30.0)
        together = top + math.log(math.exp(-30 - top) + sum(math.exp(each - top) for each in logits))
        expected = 1 / (1 + math.exp(-min(60, max(-60, slope * together + offset))))
        assert row.max() == pytest.approx(expected, rel=1e-3, abs=1e-6)


@unhurried
@given(LOGITS, st.sets(st.integers(0, 3)))
def test_leaving_rules_out_never_raises_the_score(rows, kept):
    vectors, other = of(rows)
    whole = scores(side(), vectors, range(4), other).max(axis=1)
    some = scores(side(), vectors, sorted(kept), other).max(axis=1, initial=0.0)
    assert (some <= whole + 1e-6).all()


@unhurried
@given(LOGITS)
def test_scores_are_probabilities_and_rank_rules_as_their_logits_do(rows):
    vectors, other = of(rows)
    found = scores(side(), vectors, range(4), other)
    assert ((found >= 0) & (found <= 1)).all()
    for row, logits in zip(found, vectors, strict=True):
        assert (np.diff(row[np.argsort(logits)]) >= 0).all()


def test_columns_say_which_rules_count_and_in_which_order():
    vectors, other = of([[1, 2, 3, 4]])
    two = scores(side(), vectors, [2, 0], other)
    assert two.shape == (1, 2)
    assert two[0, 0] / two[0, 1] == pytest.approx(math.exp(2), rel=1e-4)
    assert two[0, 0] == pytest.approx(1 / (1 + 1 / (math.exp(3) + math.exp(1))), rel=1e-4)


def test_no_rules_and_no_texts_have_no_scores():
    vectors, other = of([[0, 0, 0, 0]])
    assert scores(side(), vectors, [], other).shape == (1, 0)
    assert scores(side(), vectors[:0], range(4), other[:0]).shape == (0, 4)
    assert any_logit(np.zeros((2, 0), np.float32)).tolist() == [-30.0, -30.0]


def test_a_text_in_another_script_is_calibrated_by_a_line_of_its_own():
    heads = side(slope=1.0, offset=0.0, other=(0.5, -1.0))
    logits = np.array([[2, -80, -80, -80]] * 2, np.float32)
    latin, other = probability(heads, logits, np.array([False, True]))
    assert latin == pytest.approx(1 / (1 + math.exp(-2)), rel=1e-4)
    assert other == pytest.approx(0.5, rel=1e-4)
    assert probability(side(), logits, np.array([True, False])).tolist() == pytest.approx([latin, latin])
