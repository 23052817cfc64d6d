"""Means, paired differences, agreement: against figures worked out by hand or by the book."""

from __future__ import annotations

import pytest

from constitution.evaluating.agreement import agreement_of
from constitution.evaluating.intervals import mean_interval, paired_difference


def test_zeros_and_ones_have_the_exact_interval():
    found = mean_interval([1, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    assert (found.value, found.low, found.high) == pytest.approx((0.1, 0.0025, 0.4450), abs=1e-4)


def test_other_values_have_a_bootstrap_that_the_seed_decides():
    values = [0.1, 0.4, 0.35, 0.8, 0.2, 0.9, 0.5, 0.3]
    found = mean_interval(values, seed=3)
    assert found == mean_interval(values, seed=3)
    assert found.low < found.value < found.high
    error = (sum((value - found.value) ** 2 for value in values) / len(values) ** 2) ** 0.5
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_nothing_has_no_mean():
    assert mean_interval([]) is None
    assert paired_difference([], []) is None


def test_a_pairing_is_surer_than_two_shares_apart():
    before, after = [1] * 20 + [0] * 20, [1] * 10 + [0] * 30
    found = paired_difference(before, after)
    assert found.value == pytest.approx(-0.25)
    assert found.high < 0


def test_pairs_that_never_differ_are_not_sure_to_be_equal():
    found = paired_difference([1, 0, 1], [1, 0, 1])
    assert found.value == 0
    assert found.low == -found.high
    assert found.high == pytest.approx(0.7076, abs=1e-4)


@pytest.mark.parametrize(("pairs", "clear"), [(1, False), (3, False), (5, False), (6, True), (20, True)])
def test_pairs_that_all_differ_one_way_are_sure_where_the_sign_test_is(pairs, clear):
    found = paired_difference([0] * pairs, [1] * pairs)
    assert found.value == found.high == 1
    assert (found.low > 0) == clear


def test_three_wins_of_four_pairs_are_no_clear_difference():
    found = paired_difference([0, 0, 0, 1], [1, 1, 1, 1])
    assert found.value == 0.75
    assert found.low < 0


def test_one_value_and_the_same_value_throughout_have_the_width_that_their_number_leaves():
    one, many = mean_interval([0.4]), mean_interval([0.4] * 30)
    assert (one.low, one.value, one.high) == pytest.approx((0.01, 0.4, 0.985))
    assert (many.low, many.high) == pytest.approx((0.4 * (1 - 0.1157), 0.4 + 0.6 * 0.1157), abs=1e-3)
    assert mean_interval([4.0] * 3, within=(1.0, 5.0)).low == pytest.approx(4 - 3 * 0.7076, abs=1e-3)


def test_pairs_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        paired_difference([1, 0], [1])


def test_kappa_is_what_the_book_says():
    """The example of 50 grant proposals: 20 both yes, 15 both no, 5 and 10 apart."""
    labels = [True] * 25 + [False] * 25
    said = [True] * 20 + [False] * 5 + [True] * 10 + [False] * 15
    found = agreement_of("good", labels, said)
    assert found.agreement == pytest.approx(0.7)
    assert found.kappa == pytest.approx(0.4)
    assert found.low < 0.7 < found.high


def test_what_could_not_be_read_is_counted_apart():
    found = agreement_of("good", [True, False, True], [True, None, True])
    assert (found.labels, found.unread, found.agreement, found.kappa) == (2, 1, 1.0, None)
    assert agreement_of("good", [True], [None]) is None
