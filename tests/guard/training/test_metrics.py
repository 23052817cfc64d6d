from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from guard.training.metrics import Counts, rank, recall_at, reliability, share

ROWS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


@settings(deadline=None)
@given(ROWS)
def test_the_figures_are_those_of_the_four_counts(rows):
    harmful, flagged = zip(*rows, strict=True)
    counts = Counts.of(harmful, flagged)
    assert counts.harmful + counts.safe == len(rows)
    f1 = counts.f1()
    if f1 is None:
        assert not any(harmful)
    else:
        assert f1.value == pytest.approx(f1_score(harmful, flagged, zero_division=0))
        assert f1.low <= f1.high
    for figure in (counts.recall, counts.precision, counts.safe_flagged):
        assert figure is None or figure.low <= figure.value <= figure.high


def test_the_interval_of_f1_is_that_of_a_bootstrap_row_by_row():
    draws = np.random.default_rng(5)
    harmful = draws.random(400) < 0.4
    flagged = np.where(draws.random(400) < 0.8, harmful, ~harmful)
    rows = draws.integers(0, 400, (2_000, 400))
    slow = [f1_score(harmful[row], flagged[row]) for row in rows]
    f1 = Counts.of(harmful.tolist(), flagged.tolist()).f1()
    assert (f1.low, f1.high) == pytest.approx(np.quantile(slow, (0.025, 0.975)), abs=0.006)
    assert f1 == Counts.of(harmful.tolist(), flagged.tolist()).f1(), "the same figures give the same interval"


def test_shares_have_exact_intervals_and_nothing_has_none():
    none_of_300 = share(0, 300)
    assert none_of_300.low == 0
    assert none_of_300.high == pytest.approx(1 - 0.025 ** (1 / 300))
    assert share(0, 0) is None


def test_a_perfect_and_a_useless_ranking():
    harmful = np.array([True] * 50 + [False] * 950)
    perfect, useless = rank(harmful, harmful.astype(float)), rank(harmful, np.zeros(1_000))
    assert (perfect.auprc, perfect.auc, perfect.recall_at_1pct, perfect.recall_at_01pct) == (1, 1, 1, 1)
    assert (useless.auprc, useless.auc, useless.recall_at_1pct) == (0.05, 0.5, 0)


@pytest.mark.parametrize("label", [True, False])
def test_one_class_has_no_ranking(label):
    assert rank(np.full(5, label), np.arange(5.0)) is None


def test_recall_at_a_rate_spends_no_more_than_the_rate():
    harmful = np.array([True] * 10 + [False] * 100)
    scores = np.concatenate([np.linspace(0.9, 0.99, 10), [0.95, 0.91], np.linspace(0, 0.5, 98)])
    assert recall_at(harmful, scores, 0.0) == pytest.approx(0.4)
    assert recall_at(harmful, scores, 0.01) == pytest.approx(0.8)
    assert recall_at(harmful, scores, 0.02) == 1.0


def test_scores_that_are_probabilities_have_hardly_any_calibration_error():
    draws = np.random.default_rng(1)
    scores = draws.random(20_000)
    harmful = draws.random(20_000) < scores
    honest, bold = reliability(harmful, scores), reliability(harmful, (scores > 0.5).astype(float))
    assert honest.ece < 0.02 < 0.2 < bold.ece
    assert honest.brier == pytest.approx(1 / 6, abs=0.01)
    assert len(honest.bins) == 10
    assert sum(each.rows for each in honest.bins) == 20_000
    assert len(bold.bins) == 2, "rows of one score stay together"


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.25, 0.5, 1.0])), min_size=1, max_size=40))
def test_the_calibration_error_does_not_hang_on_the_order_of_the_rows(rows):
    harmful, scores = (np.array(column) for column in zip(*rows, strict=True))
    one, other = reliability(harmful, scores), reliability(harmful[::-1], scores[::-1])
    assert one.ece == pytest.approx(other.ece)
    assert one.brier == pytest.approx(other.brier)
    assert 0 <= one.ece <= 1
