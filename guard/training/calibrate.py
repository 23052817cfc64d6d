"""Scores into probabilities, and thresholds that keep a promise.

CalibrationError        the data cannot carry what is asked of it

The promise: on further traffic drawn as the pool was, the share of harmless texts that the gate flags is at most the
budget, with 95% confidence. It is kept by order statistics. Let n independent benign scores be drawn, and let the
threshold stand just above the (k+1)-th highest of them, so that at most k of the pool are flagged. Whatever the scores'
distribution F, the share of new traffic above that score is 1 - F(S), distributed as Beta(k + 1, n - k) where F is
continuous, and stochastically smaller where scores are tied. So its 95% quantile is an exact upper bound although the
threshold was chosen on the very same rows. It holds because k is fixed by n and the budget before a score is looked at:
to try several thresholds and keep the one that looks best would not be covered. That quantile is also the one-sided
Clopper-Pearson bound of k false positives in n rows, which is why the two are one function here.

Source: Clopper & Pearson 1934, doi:10.1093/biomet/26.4.404; Wilks 1941, doi:10.1214/aoms/1177731788 (tolerance limits);
Platt 1999, "Probabilistic outputs for support vector machines".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, TypeAlias

from rules.errors import WardlawError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
    Flags: TypeAlias = NDArray[np.bool_]

CONFIDENCE = 0.95
MARGIN = 1e-4
"""How far above a benign score a threshold may stand. Batches of other shapes move a score in its last digits, and the
very row that set the threshold must not be flagged for that."""


class CalibrationError(WardlawError):
    """The data cannot carry what is asked of it."""


@dataclass(frozen=True, slots=True)
class Promise:
    """What is promised of a threshold, and from what. Stands in the card of the heads."""

    budget: float
    """The largest share of harmless traffic that may be flagged, from 0 to 1."""
    rows: int
    """Harmless rows in the pool, from which the threshold comes."""
    allowed: int
    """How many of them the budget allows to be flagged."""
    observed: int
    """How many of them are flagged at the threshold."""
    bound: float
    """Upper bound of the share flagged of such traffic; at most the budget."""
    threshold: float
    """A text is flagged where its score is at least this."""
    traffic: str
    """For which traffic it holds."""
    confidence: float = CONFIDENCE

    def __str__(self) -> str:
        return (
            f"at most {self.budget:.4g} of {self.traffic} is flagged ({self.confidence:.0%} confidence):"
            f" {self.observed} of {self.rows:,} rows, bound {self.bound:.4g}"
        )

    def as_dict(self) -> dict[str, float | int | str]:
        """Its fields, for a card."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Line:
    """Turns a raw score z into a probability: 1 / (1 + exp(-(slope z + offset)))."""

    slope: float
    offset: float

    def __call__(self, raw: Floats) -> Floats:
        """(n,) raw scores into (n,) probabilities."""
        from scipy.special import expit

        found: Floats = expit(self.slope * raw + self.offset)
        return found


def fit_platt(raw: Floats, harmful: Flags, weights: Floats | None = None) -> Line:
    """The line that makes probabilities of raw scores, by maximum likelihood on Platt's smoothed labels.

    Args:
        raw: (n,) float, higher is worse.
        harmful: (n,) bool.
        weights: (n,) float, what each row counts; 1 each where left out.

    Raises:
        CalibrationError: rows of one class only, or scores that fall as harm rises.
    """
    import numpy as np
    from scipy.optimize import minimize
    from scipy.special import expit

    counts = np.ones(len(raw)) if weights is None else np.asarray(weights, np.float64)
    if not np.isfinite(raw).all():
        raise CalibrationError("a score to calibrate on is not a finite number", "look at the heads that gave it")
    positive, negative = float(counts[harmful].sum()), float(counts[~harmful].sum())
    if not positive or not negative:
        missing = "safe" if positive else "harmful"
        raise CalibrationError(f"no {missing} rows to calibrate on", "a calibration needs rows of both labels")
    # Labels of exactly 0 and 1 would send the slope of well-parted classes to infinity.
    targets = np.where(harmful, (positive + 1) / (positive + 2), 1 / (negative + 2))
    middle, scale = float(np.mean(raw)), float(np.std(raw)) or 1.0
    scaled = (raw - middle) / scale

    def loss(line: Floats) -> tuple[float, Floats]:
        score = line[0] * scaled + line[1]
        slack = counts * (expit(score) - targets)
        return float(counts @ (np.logaddexp(0, score) - targets * score)), np.array([slack @ scaled, slack.sum()])

    line = minimize(loss, np.array([1.0, math.log(positive / negative)]), jac=True, method="L-BFGS-B").x
    slope = float(line[0]) / scale
    if slope <= 0:
        raise CalibrationError(
            "the scores fall as harm rises, so that no threshold can be set on them",
            "look at the labels of the rows to calibrate on: are they the right way round?",
        )
    return Line(slope, float(line[1]) - slope * middle)


def upper_bound(flagged: int, rows: int, confidence: float = CONFIDENCE) -> float:
    """The exact one-sided upper bound of a share of which `flagged` in `rows` were seen; 1 where nothing was."""
    if flagged >= rows:
        return 1.0
    from scipy.stats import beta

    return float(beta.ppf(confidence, flagged + 1, rows - flagged))


def allowed(budget: float, rows: int, confidence: float = CONFIDENCE) -> int | None:
    """How many of `rows` may be flagged so that the bound stays within the budget; None where not even 0 may."""
    if not _promises(0, rows, budget, confidence):
        return None
    low, high = 0, rows  # `low` keeps the promise, `high` does not: all flagged bounds nothing
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _promises(middle, rows, budget, confidence) else (low, middle)
    return low


def rows_needed(budget: float, flagged: int = 0, confidence: float = CONFIDENCE) -> int:
    """The fewest benign rows that promise the budget when `flagged` of them are flagged: 299 for 1% and none flagged.

    Raises:
        CalibrationError: the budget is no share between 0 and 1.
    """
    check_budget(budget)
    low, high = flagged, flagged + 1  # `low` rows, all flagged, promise nothing
    while not _promises(flagged, high, budget, confidence):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _promises(flagged, middle, budget, confidence) else (middle, high)
    return high


def check_budget(budget: float) -> float:
    """The budget, if it is one.

    Raises:
        CalibrationError: it is no share between 0 and 1.
    """
    if not 0 < budget < 1:  # also where it is no number at all
        raise CalibrationError(
            f"the budget `{budget}` is no share of traffic between 0 and 1", "give a percentage, as `1%`"
        )
    return budget


def set_threshold(scores: Sequence[float] | Floats, budget: float, traffic: str, *, always: int = 0) -> Promise:
    """The lowest threshold that promises the budget, from benign scores drawn as the traffic is.

    Args:
        scores: (n,) score of each benign row, from 0 to 1.
        budget: share of benign traffic that may be flagged, between 0 and 1.
        traffic: what the rows are a sample of, in words.
        always: rows beside those, as many as were flagged by what has no threshold, as a pattern.

    Raises:
        CalibrationError: a budget that is none, too few rows for it, or more rows flagged whatever the threshold than
            it allows.
    """
    import numpy as np

    values = np.sort(np.asarray(scores, np.float64))[::-1]
    if not np.isfinite(values).all():
        raise CalibrationError("a benign score is not a finite number", "look at the heads that gave it")
    rows = len(values) + always
    budget = check_budget(budget)
    may = allowed(budget, rows)
    if may is None:
        raise CalibrationError(
            f"{rows:,} benign rows cannot promise {percent(budget)}",
            f"it takes {rows_needed(budget):,} rows with no false positive,"
            f" {rows_needed(budget, 1):,} with one; {_best(rows)}",
        )
    if always > may:
        raise CalibrationError(
            f"{always:,} of {rows:,} benign rows are flagged whatever the threshold; {percent(budget)} allows {may:,}",
            "mend what flags them, or ask for a larger budget",
        )
    free = may - always
    if free >= len(values):  # only with a budget near 1: every row may be flagged
        threshold, border = 0.0, -1.0
    else:
        border = float(values[free])
        above = values[values > border]
        threshold = _single(border + min(MARGIN, (float(above[-1]) - border) / 2 if len(above) else MARGIN), border)
    if threshold > 1:
        raise CalibrationError(
            f"{int((values >= border).sum()) + always:,} of {rows:,} benign rows have the highest score there is, and"
            f" {percent(budget)} allows {may:,}",
            "look at what scores so, or ask for a larger budget",
        )
    observed = int((values >= threshold).sum()) + always
    return Promise(budget, rows, may, observed, upper_bound(may, rows), threshold, traffic)


def _single(threshold: float, above: float) -> float:
    """The threshold as a heads file holds it, in single precision, and still above `above`."""
    import numpy as np

    found = np.float32(threshold)
    while found <= above:
        found = np.nextafter(found, np.float32(2))
    return float(found)


def unsure_from(scores: Sequence[float] | Floats, threshold: float, asked: float) -> float:
    """The lower border of the unsure band: so low that `asked` of benign traffic lies in it or above.

    Args:
        scores: benign scores.
        threshold: the upper border of the band.
        asked: share of benign traffic, from 0 to 1, that a dearer detector may be asked about.
    """
    import numpy as np

    return min(threshold, float(np.quantile(np.asarray(scores, np.float64), 1 - asked, method="higher")))


def percent(budget: float) -> str:
    """`1%`, `0.1%`."""
    return f"{100 * budget:.4g}%"


def _promises(flagged: int, rows: int, budget: float, confidence: float) -> bool:
    return rows > flagged and upper_bound(flagged, rows, confidence) <= budget


def _best(rows: int) -> str:
    bound = upper_bound(0, rows)
    return (
        f"{rows:,} can promise {percent(math.ceil(bound * 1e5) / 1e5)}" if rows and bound < 1 else "none promise none"
    )
