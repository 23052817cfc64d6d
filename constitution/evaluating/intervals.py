"""Means of items with their intervals, and differences of paired items with theirs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from guard.training.metrics import CONFIDENCE, RESAMPLES, Interval, share

_SLICE = 2_000_000
"""Values drawn at once in a bootstrap: 16 MB."""


def mean_interval(values: Sequence[float], *, seed: int = 0) -> Interval | None:
    """The mean of `values` and its 95% interval; None of nothing.

    Zeros and ones are a share: exact (Clopper-Pearson). Others: percentile bootstrap over values, `RESAMPLES` times.
    """
    if not values:
        return None
    if all(value in (0, 1) for value in values):
        return share(int(sum(values)), len(values))
    return _resampled(values, seed)


def paired_difference(before: Sequence[float], after: Sequence[float], *, seed: int = 0) -> Interval | None:
    """The mean of `after` less `before`, item by item, and its 95% interval; None of nothing.

    Percentile bootstrap over the pairs. Where no pair differs the interval would have no width, which is more than is
    known: then it is that of a share of 0 of n, to both sides.

    Raises:
        ValueError: they differ in length.
    """
    gaps = [later - earlier for earlier, later in zip(before, after, strict=True)]
    if not gaps:
        return None
    if not any(gaps):
        bound = share(0, len(gaps))
        edge = bound.high if bound is not None else math.nan
        scale = max(abs(value) for value in (*before, *after)) or 1.0
        return Interval(0.0, -edge * scale, edge * scale)
    return _resampled(gaps, seed)


def _resampled(values: Sequence[float], seed: int) -> Interval:
    import numpy as np
    from scipy.stats import bootstrap

    told = np.asarray(values, np.float64)
    if len(told) < 2 or float(np.ptp(told)) == 0.0:
        # nothing to resample; one value, or the same one throughout, says nothing of how far others lie from it
        return Interval(float(told.mean()), float(told.mean()), float(told.mean()))
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
