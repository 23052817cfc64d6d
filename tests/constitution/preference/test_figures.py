"""The scale under which labels fit the choices best."""

from __future__ import annotations

import math
import random

import pytest

from constitution.preference.figures import fitted


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
