"""The figures: shares with exact intervals, differences paired by prompt, perplexity, and the tables of the page."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from guard.training.metrics import Interval, share

Line = Mapping[str, Any]
Values = Mapping[str, float]
"""Question -> what was found of the answer to it."""


def interval_of(values: Sequence[float], *, counted: bool = True) -> Interval | None:
    """The mean: of zeros and ones that are `counted` with the exact interval, of others with a bootstrap's."""
    if not values:
        return None
    if counted and set(values) <= {0.0, 1.0}:
        return share(int(sum(values)), len(values))
    return _bootstrapped(list(values))


def paired(one: Values, other: Values) -> dict[str, Any]:
    """The mean of `one` less that of `other` on the same questions; its interval by bootstrap over questions.

    Of zeros and ones also the two counts of those that changed, and McNemar's exact p of the two being alike.
    """
    keys = sorted(one.keys() & other.keys())
    differences = [one[key] - other[key] for key in keys]
    found: dict[str, Any] = {"n": len(keys)}
    if not keys:
        return found
    mean = _bootstrapped(differences)
    found |= {"difference": mean.value, "low": mean.low, "high": mean.high}
    if not any(differences):  # resampling nothing but zeros would be sure of zero; of n pairs, none changed
        most = share(0, len(keys))
        assert most is not None, "there are keys"
        found |= {"low": -most.high, "high": most.high}
    if set(differences) <= {-1.0, 0.0, 1.0}:
        from scipy.stats import binomtest

        more, fewer = differences.count(1.0), differences.count(-1.0)
        found |= {"gained": more, "lost": fewer}
        found["p"] = float(binomtest(more, more + fewer).pvalue) if more + fewer else 1.0
    return found


def perplexity_of(cases: Sequence[Line]) -> Interval:
    """Perplexity a token over all texts; the interval by bootstrap over texts, since tokens of one text go together."""
    import numpy as np

    nats = np.array([case["nats"] for case in cases])
    tokens = np.array([case["tokens"] for case in cases])
    drawn = np.random.default_rng(0).integers(0, len(cases), (4000, len(cases)))
    resampled = np.exp(nats[drawn].sum(1) / tokens[drawn].sum(1))
    low, high = np.quantile(resampled, (0.025, 0.975))
    return Interval(math.exp(nats.sum() / tokens.sum()), float(low), float(high))


def perplexity_ratio(one: Sequence[Line], other: Sequence[Line]) -> Interval:
    """Perplexity of one model over that of another on the same texts, paired."""
    import numpy as np

    by_id = {case["id"]: case for case in other}
    tokens = np.array([case["tokens"] for case in one])
    more = np.array([case["nats"] - by_id[case["id"]]["nats"] for case in one])
    drawn = np.random.default_rng(0).integers(0, len(tokens), (4000, len(tokens)))
    low, high = np.quantile(np.exp(more[drawn].sum(1) / tokens[drawn].sum(1)), (0.025, 0.975))
    return Interval(math.exp(more.sum() / tokens.sum()), float(low), float(high))


def agreement(said: Sequence[bool], labels: Sequence[bool]) -> dict[str, Any]:
    """How far one who judges agrees with labels: share, Cohen's kappa, and both kinds of error."""
    pairs = list(zip(said, labels, strict=True))
    both = share(sum(a == b for a, b in pairs), len(pairs))
    chance = sum(
        (sum(a is value for a, _ in pairs) / len(pairs)) * (sum(b is value for _, b in pairs) / len(pairs))
        for value in (True, False)
    )
    assert both is not None, "an agreement is of something"
    return {
        "n": len(pairs),
        "agreement": both.value,
        "low": both.low,
        "high": both.high,
        "kappa": None if chance >= 1 else (both.value - chance) / (1 - chance),
        "found": share(sum(a and b for a, b in pairs), sum(labels)),
        "false": share(sum(a and not b for a, b in pairs), len(labels) - sum(labels)),
        "commonest": max(sum(labels), len(labels) - sum(labels)) / len(labels),
    }


def over_seeds(models: Sequence[str], values: Callable[[str], Values]) -> Values:
    """Question -> mean over models, which are one recipe at several seeds."""
    each = [values(model) for model in models]
    keys = set.intersection(*(set(found) for found in each)) if each else set()
    return {key: sum(found[key] for found in each) / len(each) for key in keys}


def _bootstrapped(values: Sequence[float]) -> Interval:
    import numpy as np
    from scipy.stats import bootstrap

    told = np.array(values, dtype=float)
    mean = float(told.mean())
    if len(told) < 2 or not told.std():  # nothing to resample: the bootstrap would give a range of no width
        return Interval(mean, math.nan if len(told) < 2 else mean, math.nan if len(told) < 2 else mean)
    found = bootstrap((told,), np.mean, method="percentile", n_resamples=4000, rng=np.random.default_rng(0))
    return Interval(mean, float(found.confidence_interval.low), float(found.confidence_interval.high))
