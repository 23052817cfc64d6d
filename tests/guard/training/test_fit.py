from __future__ import annotations

import numpy as np
import pytest

from guard.trained.scoring import any_logit
from guard.training.fit import clear_below, fit, fit_clear
from guard.training.rows import Row

RULES = ("theft", "fire")


@pytest.fixture(scope="module")
def problem():
    """Vectors of length 1 in which one direction is harm, and two others say which."""
    draw = np.random.default_rng(3)
    vectors = draw.normal(size=(300, 16)).astype(np.float32)
    harmful = draw.random(300) < 0.5
    theft = draw.random(300) < 0.5
    vectors[:, 0] += np.where(harmful, 3, -3)
    vectors[:, 1] += np.where(harmful & theft, 3, 0)
    vectors[:, 2] += np.where(harmful & ~theft, 3, 0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = [
        Row(f"row {n}", bool(bad), "a", rules=((RULES[0] if steals else RULES[1],) if bad else ()))
        for n, (bad, steals) in enumerate(zip(harmful, theft, strict=True))
    ]
    return vectors, rows


def test_heads_tell_harm_from_none_and_name_the_rule(problem):
    vectors, rows = problem
    side = fit(vectors[:200], rows[:200], RULES, seed=7)
    logits = side.logits(vectors[200:])
    harmful = np.array([row.harmful for row in rows[200:]])
    assert ((any_logit(logits) > 0) == harmful).mean() > 0.9
    named = [
        row.rules == (RULES[place],) for row, place in zip(rows[200:], logits.argmax(1), strict=True) if row.harmful
    ]
    assert np.mean(named) > 0.8


def test_the_same_seed_fits_the_same_heads(problem):
    vectors, rows = problem
    first, second, other = (fit(vectors, rows, RULES, seed) for seed in (1, 1, 2))
    assert np.array_equal(first.weight, second.weight)
    assert not np.array_equal(first.weight, other.weight)


def test_the_static_heads_learn_what_needs_a_look(problem):
    vectors, rows = problem
    wanted = np.array([row.harmful for row in rows], np.float32)
    clear = fit_clear(vectors[:200], wanted[:200], np.ones(200, np.float32), seed=7)
    assert ((clear.logits(vectors[200:]) > 0) == (wanted[200:] > 0)).mean() > 0.9
    assert clear.below == -1e9, "nothing is called clear before it is known what that would miss"


@pytest.mark.parametrize("miss", [0.0, 0.01, 0.02, 0.1, 0.5])
@pytest.mark.parametrize("count", [1, 7, 99, 1000])
def test_what_is_called_clear_loses_at_most_the_share_that_may_be_lost(miss, count):
    logits = np.random.default_rng(count).normal(size=count).astype(np.float32)
    below = clear_below(logits, miss)
    lost = (logits < below).sum()
    assert lost <= miss * count
    assert lost >= miss * count - 1, "and no less than it may"


def test_ties_are_not_lost_and_with_nothing_found_nothing_is_clear():
    assert (np.zeros(100, np.float32) < clear_below(np.zeros(100, np.float32), 0.5)).sum() == 0
    assert clear_below(np.zeros(0, np.float32), 0.02) == -1e9
