"""Means of items with their intervals, and differences of paired items with theirs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from guard.training.metrics import CONFIDENCE, RESAMPLES, Interval, share

_SLICE = 2_000_000
"""Values drawn at once in a bootstrap: 16 MB."""


def mean_interval(
    values: Sequence[float], *, within: tuple[float, float] = (0.0, 1.0), seed: int = 0
) -> Interval | None:
    """The mean of `values` and its 95% interval; None of nothing.

    Zeros and ones are a share: exact (Clopper-Pearson). Others: percentile bootstrap over values, `RESAMPLES` times.

    Args:
        values: one an item.
        within: the least and the largest that a value may be.
        seed: of the bootstrap.
    """
    if not values:
        return None
    if all(value in (0, 1) for value in values):
        return share(int(sum(values)), len(values))
    return _resampled(values, within, seed)


def paired_difference(
    before: Sequence[float], after: Sequence[float], *, within: tuple[float, float] = (0.0, 1.0), seed: int = 0
) -> Interval | None:
    """The mean of `after` less `before`, item by item, and its 95% interval; None of nothing.

    Percentile bootstrap over the pairs. Where pairs differ by one or not at all, it is widened to what the direction of
    those that differ bears (Clopper-Pearson): so it leaves nought out only where the exact sign test does too. Five
    pairs that all differ in one direction do not.

    Args:
        before: one an item.
        after: of the same items.
        within: the least and the largest that a value may be.
        seed: of the bootstrap.

    Raises:
        ValueError: they differ in length.

    Source: McNemar 1947, doi:10.1007/BF02295996, in its exact form.
    """
    gaps = [later - earlier for earlier, later in zip(before, after, strict=True)]
    if not gaps:
        return None
    span = within[1] - within[0]
    if not any(gaps):
        return _constant(0.0, len(gaps), (-span, span))
    found = _resampled(gaps, (-span, span), seed)
    if all(gap in (-1, 0, 1) for gap in gaps):
        more = sum(gap > 0 for gap in gaps)
        differing = sum(gap != 0 for gap in gaps)
        direction = share(more, differing)
        if direction is not None:
            part = differing / len(gaps)
            low, high = (part * (2 * edge - 1) for edge in (direction.low, direction.high))
            return Interval(found.value, min(found.low, low), max(found.high, high))
    return found


def _resampled(values: Sequence[float], within: tuple[float, float], seed: int) -> Interval:
    import numpy as np
    from scipy.stats import bootstrap

    told = np.asarray(values, np.float64)
    if len(told) < 2 or float(np.ptp(told)) == 0.0:
        return _constant(float(told[0]), len(told), within)
    found = bootstrap(
        (told,),
        np.mean,
        n_resamples=RESAMPLES,
        batch=max(1, _SLICE // len(told)),
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(float(told.mean()), float(found.low), float(found.high))


def _constant(value: float, count: int, within: tuple[float, float]) -> Interval:
    """Where all values are the same a bootstrap has no width, which is more than is known: some may be otherwise.

    As many as the exact interval of 0 of `count` allows, each as far off as a value may be.
    """
    others = share(0, count)
    edge = others.high if others is not None else math.nan
    low, high = within
    return Interval(value, value - edge * (value - low), value + edge * (high - value))
