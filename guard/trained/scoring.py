"""Vectors and heads into scores by rule.

One logit a rule; together they give the probability that any rule is broken, which is what is calibrated and what a
threshold is set on, so that the false-positive rate of the whole gate hangs on one number. A rule's score is that
probability for the likeliest rule, and less for the others as they are less likely.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from guard.trained.sides import Side

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Flags: TypeAlias = NDArray[np.bool_]
    Floats: TypeAlias = NDArray[np.float32]


def any_logit(logits: Floats) -> Floats:
    """The logit that any rule is broken, before calibration: (n,) from (n, rules)."""
    import numpy as np

    highest = logits.max(axis=1, initial=-30.0)
    return np.asarray(highest + np.log(np.exp(logits - highest[:, None]).sum(axis=1) + np.exp(-30.0 - highest)))


def probability(side: Side, logits: Floats, other: Flags) -> Floats:
    """The calibrated probability that any rule is broken.

    Args:
        side: the heads.
        logits: (n, rules).
        other: (n,) whether the text is in another script than the Latin one.

    Returns:
        (n,) float32.
    """
    import numpy as np

    raw = any_logit(logits)
    calibrated = side.slope * raw + side.offset
    if side.other is not None:
        slope, offset = side.other
        calibrated = np.where(other, slope * raw + offset, calibrated)
    return np.asarray(1 / (1 + np.exp(-np.clip(calibrated, -60, 60))), np.float32)


def scores(side: Side, vectors: Floats, columns: Sequence[int], other: Flags) -> Floats:
    """Scores of texts for rules.

    Args:
        side: the heads.
        vectors: (n, dim) float32 of the encoder that the heads were taught on.
        columns: places of the rules in the heads; other rules do not count.
        other: (n,) whether the text is in another script than the Latin one.

    Returns:
        (n, len(columns)) float32 from 0 to 1. The highest of a row is the calibrated probability that any of the
        rules is broken.
    """
    import numpy as np

    if not len(columns):
        return np.zeros((len(vectors), 0), np.float32)
    logits = side.logits(vectors)[:, list(columns)]
    broken = probability(side, logits, other)
    return np.asarray(broken[:, None] * np.exp(logits - logits.max(axis=1, keepdims=True)), np.float32)
