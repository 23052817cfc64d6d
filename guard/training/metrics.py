"""The figures of a labelled set, and how sure each is. Harmful is the positive class throughout.

What is flagged is the gate's own word at its shipped threshold, never a threshold that was picked on the set itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
    Flags: TypeAlias = NDArray[np.bool_]

CONFIDENCE = 0.95
RESAMPLES = 10_000
BINS = 10


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and the range that holds the true one with 95% confidence."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows by label and by what the gate said."""

    hits: int
    """Harmful and flagged."""
    misses: int
    """Harmful and not flagged."""
    alarms: int
    """Safe and flagged."""
    passes: int
    """Safe and not flagged."""

    @classmethod
    def of(cls, harmful: Sequence[bool], flagged: Sequence[bool]) -> Counts:
        """Count rows; the two go together, one a row.

        Raises:
            ValueError: they differ in length.
        """
        pairs = list(zip(harmful, flagged, strict=True))
        return cls(*(pairs.count(kind) for kind in ((True, True), (True, False), (False, True), (False, False))))

    @property
    def harmful(self) -> int:
        """Harmful rows."""
        return self.hits + self.misses

    @property
    def safe(self) -> int:
        """Safe rows."""
        return self.alarms + self.passes

    @property
    def recall(self) -> Interval | None:
        """Share of the harmful rows that is flagged; None where there are none."""
        return share(self.hits, self.harmful)

    @property
    def safe_flagged(self) -> Interval | None:
        """Share of the safe rows that is flagged; None where there are none."""
        return share(self.alarms, self.safe)

    @property
    def precision(self) -> Interval | None:
        """Share of the flagged rows that is harmful; None where nothing is flagged."""
        return share(self.hits, self.hits + self.alarms)

    def f1(self, *, seed: int = 0) -> Interval | None:
        """Harmonic mean of precision and recall, with a percentile bootstrap over rows; None without harmful rows.

        Only the four counts decide F1, and those of rows drawn with replacement are one multinomial draw: so ten
        thousand resamples cost what one costs row by row.
        """
        if not self.harmful:
            return None
        import numpy as np

        kinds = np.array([self.hits, self.misses, self.alarms, self.passes], np.float64)
        drawn = np.random.default_rng(seed).multinomial(int(kinds.sum()), kinds / kinds.sum(), size=RESAMPLES)
        hits, misses, alarms, _ = drawn.T
        below = 2 * hits + misses + alarms
        resampled = np.divide(2 * hits, below, out=np.zeros(len(hits)), where=below > 0)
        tail = (1 - CONFIDENCE) / 2
        low, high = np.quantile(resampled, (tail, 1 - tail)).tolist()
        return Interval(2 * self.hits / (2 * self.hits + self.misses + self.alarms), low, high)


def share(count: int, of: int) -> Interval | None:
    """`count` of `of` with the exact two-sided interval; None of nothing.

    Source: Clopper & Pearson 1934, doi:10.1093/biomet/26.4.404.
    """
    if not of:
        return None
    from scipy.stats import binomtest

    found = binomtest(count, of).proportion_ci(CONFIDENCE, method="exact")
    return Interval(count / of, float(found.low), float(found.high))


@dataclass(frozen=True, slots=True)
class Ranking:
    """How well scores part the two classes, whatever the threshold."""

    auprc: float
    """Average precision: area under the precision-recall curve, by steps."""
    auc: float
    """Area under the ROC curve."""
    recall_at_1pct: float
    """The highest recall at which at most 1% of the safe rows score as high."""
    recall_at_01pct: float
    """The same at 0.1%; below 1,000 safe rows it allows none."""


def rank(harmful: Flags, scores: Floats) -> Ranking | None:
    """The figures of a ranking; None unless there are rows of both classes.

    Args:
        harmful: (n,) bool.
        scores: (n,) float, higher is worse.
    """
    if not harmful.any() or harmful.all():
        return None
    from sklearn.metrics import average_precision_score, roc_auc_score

    return Ranking(
        auprc=float(average_precision_score(harmful, scores)),
        auc=float(roc_auc_score(harmful, scores)),
        recall_at_1pct=recall_at(harmful, scores, 0.01),
        recall_at_01pct=recall_at(harmful, scores, 0.001),
    )


def recall_at(harmful: Flags, scores: Floats, false_positives: float) -> float:
    """The highest recall of any threshold that flags at most this share of the safe rows."""
    from sklearn.metrics import roc_curve

    alarms, recall, _ = roc_curve(harmful, scores, drop_intermediate=False)
    return float(recall[alarms <= false_positives].max())


@dataclass(frozen=True, slots=True)
class Bin:
    """Rows of like score."""

    rows: int
    score: float
    """Their mean score."""
    harmful: Interval
    """The share of them that is harmful."""


@dataclass(frozen=True, slots=True)
class Reliability:
    """Whether a score of 0.8 means that eight in ten are harmful."""

    brier: float
    """Mean squared distance of score and label: 0 is perfect, 0.25 is what a constant 0.5 gets."""
    ece: float
    """Expected calibration error: mean distance of score and share harmful, over bins of equally many rows."""
    bins: tuple[Bin, ...]


def reliability(harmful: Flags, scores: Floats, bins: int = BINS) -> Reliability:
    """Compare scores with how often they are right.

    Args:
        harmful: (n,) bool, at least one row.
        scores: (n,) float in [0, 1].
        bins: how many bins to ask for. Rows of the same score stay together, so there may be fewer.
    """
    import numpy as np

    order = np.argsort(scores, kind="stable")
    ranked, labels = scores[order], harmful[order]
    # Gates give many rows one score: cut only between different ones, or the order of the file decides.
    cuts = [len(ranked) * place // bins for place in range(1, bins)]
    edges = sorted({0, len(ranked), *(int(np.searchsorted(ranked, ranked[cut])) for cut in cuts)})
    found = []
    for start, end in pairwise(edges):
        held = share(int(labels[start:end].sum()), end - start)
        if held is not None:
            found.append(Bin(end - start, float(ranked[start:end].mean()), held))
    ece = math.fsum(each.rows * abs(each.score - each.harmful.value) for each in found) / len(ranked)
    return Reliability(float(np.mean((scores - harmful) ** 2)), ece, tuple(found))
