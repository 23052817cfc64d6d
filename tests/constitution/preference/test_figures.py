"""The scale under which labels fit the choices best, and how sure a mean is."""

from __future__ import annotations

import math
import random

import pytest

from constitution.preference.figures import fitted, mean_error


def test_labels_that_are_too_timid_are_told_the_scale_that_was_lost():
    draw = random.Random(0)
    odds: dict[float, int] = {}
    for _ in range(20_000):
        true = draw.gauss(0, 2)
        # the label of the preferred answer: the first with the true probability, else the other
        preferred = true if draw.random() < 1 / (1 + math.exp(-true)) else -true
        key = round(preferred / 4, 3)
        odds[key] = odds.get(key, 0) + 1
    assert fitted(odds) == pytest.approx(4, rel=0.05)


@pytest.mark.parametrize("odds", [{}, {-1.0: 3, 0.5: 1}, {0.0: 5}, {0.4: 9}])
def test_labels_that_disagree_or_never_do_have_no_best_scale(odds):
    assert fitted(odds) is None


def test_the_error_of_a_mean_is_the_textbook_s():
    from scipy.stats import sem

    numbers = [0.1, 0.4, 0.35, 0.8, 0.2]
    error = mean_error(sum(numbers), sum(number**2 for number in numbers), len(numbers))
    assert error == pytest.approx(sem(numbers))
    assert mean_error(0.3, 0.09, 1) == 0.0
