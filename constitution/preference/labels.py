"""Labels from probabilities: two orders in one, two grades in one, and how strongly a label speaks."""

from __future__ import annotations

import math
from typing import Literal

Join = Literal["mean", "log-odds"]
"""How the two orders become one label: the mean of the probabilities, or of their log-odds."""

_LEAST = 1e-6


def joined(first: float, second: float, join: Join) -> float:
    """One probability of two that were seen in opposite orders.

    Args:
        first: that an answer is the better, when it is shown first.
        second: that the same answer is the better, when it is shown second.
        join: `mean` of the two; `log-odds`, which cancels a bias that adds the same to the log-odds of every pair.
    """
    if join == "mean":
        return (first + second) / 2
    return chance((log_odds(first) + log_odds(second)) / 2)


def scaled(label: float, scale: float) -> float:
    """A label whose log-odds are `scale` times as large: above 1 it speaks more surely, below 1 less."""
    return label if scale == 1 else chance(scale * log_odds(label))


def log_odds(probability: float) -> float:
    """Its log-odds; those of 0 and 1 are taken a little inside, so that they are finite."""
    bound = min(max(probability, _LEAST), 1 - _LEAST)
    return math.log(bound / (1 - bound))


def chance(odds: float) -> float:
    """The probability of log-odds."""
    return 1 / (1 + math.exp(-odds)) if odds >= 0 else 1 - 1 / (1 + math.exp(odds))
