from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, norm

from guard.training.calibrate import (
    CalibrationError,
    allowed,
    check_budget,
    fit_platt,
    rows_needed,
    set_threshold,
    unsure_from,
    upper_bound,
)

BUDGETS = st.sampled_from([0.2, 0.05, 0.01, 0.005, 0.001])


@settings(deadline=None)
@given(st.integers(1, 20_000), st.data())
def test_the_bound_is_the_share_at_which_so_few_would_be_seen_in_one_of_twenty(rows, data):
    flagged = data.draw(st.integers(0, min(rows - 1, 200)))
    bound = upper_bound(flagged, rows)
    assert binom.cdf(flagged, rows, bound) == pytest.approx(0.05, rel=1e-6)
    assert bound > flagged / rows


@settings(deadline=None)
@given(BUDGETS, st.integers(1, 30_000))
def test_what_is_allowed_keeps_the_budget_and_one_more_would_not(budget, rows):
    may = allowed(budget, rows)
    if may is None:
        assert binom.cdf(0, rows, budget) > 0.05
    else:
        assert binom.cdf(may, rows, budget) <= 0.05 < binom.cdf(may + 1, rows, budget)


@settings(deadline=None)
@given(BUDGETS, st.integers(0, 20))
def test_the_rows_needed_are_the_fewest(budget, flagged):
    rows = rows_needed(budget, flagged)
    assert upper_bound(flagged, rows) <= budget < upper_bound(flagged, rows - 1)


def test_the_known_figures_of_the_field_come_out():
    assert rows_needed(0.01) == 299
    assert rows_needed(0.001) == 2_995
    assert allowed(0.01, 10_000) == 83
    assert allowed(0.001, 10_000) == 4
    assert upper_bound(3, 3) == 1.0
    assert upper_bound(0, 0) == 1.0


@pytest.mark.parametrize("ties", [None, 200])
@pytest.mark.parametrize(("budget", "rows"), [(0.05, 59), (0.05, 400), (0.01, 1_000)])
def test_the_promise_holds_in_nineteen_of_twenty_draws_of_the_pool(budget, rows, ties):
    """The threshold is chosen on the very rows that bound it; the true rate of each draw is known exactly."""
    draws = np.random.default_rng(rows)
    kept, tried = 0, 600
    for _ in range(tried):
        benign = draws.beta(1, 20, size=rows)
        if ties:
            benign = np.floor(benign * ties) / ties
        threshold = set_threshold(benign, budget, "made-up traffic").threshold
        edge = math.ceil(threshold * ties - 1e-9) / ties if ties else threshold
        kept += (1 - edge) ** 20 <= budget  # the survival function of Beta(1, 20)
    # 95% or more is promised; five standard deviations of the simulation itself are allowed for
    assert kept / tried >= 0.95 - 5 * math.sqrt(0.95 * 0.05 / tried)
    if ties is None and rows > 59:
        assert kept < tried, "a promise that is never broken gives recall away"


def test_the_threshold_is_the_lowest_that_flags_no_more_than_is_allowed():
    benign = np.linspace(0, 0.5, 1_000, dtype=np.float32)
    promise = set_threshold(benign, 0.01, "a ramp")
    assert promise.allowed == allowed(0.01, 1_000) == promise.observed == 4
    assert (benign >= promise.threshold).sum() == 4
    assert benign[-5] < promise.threshold <= benign[-4]
    assert promise.bound == upper_bound(4, 1_000) <= 0.01


def test_the_threshold_stays_above_its_row_in_single_precision():
    low = np.float32(0.3)
    scores = np.full(400, low, np.float64)
    scores[0] = float(np.nextafter(low, np.float32(1)))
    promise = set_threshold(scores, 0.02, "ties")
    assert np.float32(promise.threshold) == promise.threshold
    assert promise.threshold > low


def test_tied_scores_are_all_flagged_or_none():
    promise = set_threshold([0.1] * 900 + [0.9] * 100, 0.01, "ties")
    assert promise.observed == 0
    assert promise.allowed == 4, "what ties leave unused must not sharpen the bound"
    assert promise.threshold > 0.9


def test_rows_that_no_threshold_spares_spend_the_budget_first():
    benign = np.linspace(0, 0.5, 998)
    free, spent = set_threshold(benign, 0.01, "x"), set_threshold(benign, 0.01, "x", always=2)
    assert spent.rows == 1_000
    assert spent.observed == 4
    assert spent.threshold > free.threshold
    with pytest.raises(
        CalibrationError, match="5 of 1,003 benign rows are flagged whatever the threshold; 1% allows 4"
    ):
        set_threshold(benign, 0.01, "x", always=5)


def test_too_small_a_pool_is_refused_with_the_rows_that_it_takes_and_what_it_can_promise():
    with pytest.raises(CalibrationError) as refused:
        set_threshold([0.1] * 298, 0.01, "x")
    assert str(refused.value) == (
        "298 benign rows cannot promise 1%\n"
        "  hint: it takes 299 rows with no false positive, 473 with one; 298 can promise 1.001%"
    )
    assert set_threshold([0.1] * 298, 0.01001, "x").rows == 298
    with pytest.raises(CalibrationError, match="0 benign rows"):
        set_threshold([], 0.01, "x")


def test_scores_that_stand_at_the_very_top_are_refused_by_number():
    with pytest.raises(CalibrationError, match="50 of 1,000 benign rows have the highest score there is"):
        set_threshold([0.2] * 950 + [1.0] * 50, 0.01, "x")


@pytest.mark.parametrize("budget", [0.0, 1.0, -0.1, 5.0, math.nan, math.inf])
def test_a_budget_that_is_no_share_is_refused(budget):
    for call in (check_budget, rows_needed, lambda given: set_threshold([0.1] * 400, given, "x")):
        with pytest.raises(CalibrationError, match="is no share of traffic"):
            call(budget)


def test_a_score_that_is_no_number_is_refused():
    with pytest.raises(CalibrationError, match="not a finite number"):
        set_threshold([0.1] * 400 + [math.nan], 0.01, "x")


def test_the_unsure_band_holds_the_share_of_traffic_that_was_asked_for():
    benign = np.linspace(0, 0.999, 1_000)
    border = unsure_from(benign, 0.99, 0.05)
    assert (benign >= border).mean() == pytest.approx(0.05, abs=0.002)
    assert unsure_from(benign, 0.5, 0.05) == 0.5, "never above the threshold"


def drawn(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draws = np.random.default_rng(seed)
    harmful = draws.random(rows) < 0.3
    return draws.normal(size=rows) * 3 + np.where(harmful, 2.0, -2.0), harmful


def test_platt_finds_the_line_that_the_scores_were_drawn_by():
    raw, harmful = drawn(60_000)
    line = fit_platt(raw, harmful)
    # normal classes at -2 and 2 of variance 9: log-odds are linear with slope 4/9
    assert line.slope == pytest.approx(4 / 9, rel=0.03)
    assert line.offset == pytest.approx(math.log(0.3 / 0.7), abs=0.05)
    assert line(raw).mean() == pytest.approx(harmful.mean(), abs=0.002)


def test_classes_that_are_parted_cleanly_keep_a_finite_line():
    raw = np.concatenate([np.linspace(-2, -1, 50), np.linspace(1, 2, 50)])
    line = fit_platt(raw, raw > 0)
    assert 0 < line.slope < 100
    assert 0.5 < line(np.array([1.0]))[0] < 1


def test_weights_count_as_rows_would():
    raw, harmful = drawn(300)
    doubled = fit_platt(np.concatenate([raw, raw]), np.concatenate([harmful, harmful]))
    weighted = fit_platt(raw, harmful, np.full(300, 2.0))
    assert weighted.slope == pytest.approx(doubled.slope, rel=1e-3)
    assert weighted.offset == pytest.approx(doubled.offset, abs=1e-3)


@pytest.mark.parametrize(("label", "missing"), [(True, "safe"), (False, "harmful")])
def test_one_class_only_is_refused_and_named(label, missing):
    with pytest.raises(CalibrationError, match=f"no {missing} rows"):
        fit_platt(np.arange(5.0), np.full(5, label))


def test_labels_the_wrong_way_round_are_refused():
    raw, harmful = drawn(500)
    with pytest.raises(CalibrationError, match="fall as harm rises"):
        fit_platt(-raw, harmful)
    with pytest.raises(CalibrationError, match="not a finite"):
        fit_platt(np.append(raw, np.inf), np.append(harmful, True))


def test_a_calibrated_threshold_means_what_it_says_under_a_shift_of_scale():
    """The order of rows alone decides who is flagged, whatever monotone line is laid over the scores."""
    benign = np.random.default_rng(3).normal(size=2_000)
    for scale in (1.0, 7.0):
        promise = set_threshold(norm.cdf(benign, scale=scale), 0.01, "x")
        assert promise.observed == allowed(0.01, 2_000)
