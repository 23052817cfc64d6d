"""The scores of a side into probabilities, by held-out rows, and how well they rank these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from guard.trained.scoring import any_logit
from guard.trained.scripts import others
from guard.trained.sides import Side
from guard.training.calibrate import CalibrationError, fit_platt
from guard.training.rows import Row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Flags: TypeAlias = NDArray[np.bool_]
    Floats: TypeAlias = NDArray[np.float32]
    Scores: TypeAlias = NDArray[np.float64]


UNREAD = (0.0, -60.0)
"""The line of a script that heads do not judge: no text in it scores anything."""

_PROMISED = 100
"""Harmless rows of other scripts that a threshold has to have seen, to be used on such texts."""

_CHANCE = 0.65
"""AUC on a script's held-out pairs below which heads of few pairs are taken not to read it."""

FEWEST = 8
"""Held-out harmful rows below which a line through them would mean nothing."""

ENOUGH = 20
"""Held-out rows of either label that a calibration of its own takes."""


def calibrated(
    side: Side, vectors: Floats, rows: Sequence[Row], rules: Sequence[str]
) -> tuple[Side, dict[str, object]]:
    """The side with its probabilities calibrated on held-out rows, and how well it ranks them."""
    import numpy as np
    from sklearn.metrics import roc_auc_score

    logits = side.logits(vectors)
    raw = np.asarray(any_logit(logits), np.float64)
    harmful = np.array([row.harmful for row in rows])
    other_script = others([row.text for row in rows])
    # Where there is hardly any Latin text, all of it is calibrated together.
    apart = _tell(harmful[~other_script])
    line = fit_platt(raw[~other_script], harmful[~other_script]) if apart else fit_platt(raw, harmful)
    twins: dict[str, dict[bool, float]] = {}
    for row, score in zip(rows, raw.tolist(), strict=True):
        if row.pair is not None:
            twins.setdefault(row.pair, {})[row.harmful] = score
    whole = [pair for pair in twins.values() if len(pair) == 2]
    named = [place for place, row in enumerate(rows) if row.rules]
    right = [rules[int(logits[place].argmax())] in rows[place].rules for place in named]
    figures = {
        "rows": len(rows),
        "auc": round(float(roc_auc_score(harmful, raw)), 3),
        "harmful twin ranked above harmless": round(
            sum(pair[True] > pair[False] for pair in whole) / max(1, len(whole)), 3
        ),
        "right rule first": round(sum(right) / max(1, len(right)), 3),
        "auc by language": {
            language: round(float(roc_auc_score(harmful[mine], raw[mine])), 3)
            for language in sorted({row.language for row in rows})
            if len(set(harmful[mine := np.array([row.language == language for row in rows])])) == 2
        },
    }
    other = _line_for_other_scripts(raw, harmful, other_script) if apart else None
    return replace(side, slope=line.slope, offset=line.offset, other=other), figures


def reads_others(side: Side, vectors: Floats, rows: Sequence[Row], benign: Sequence[Row]) -> bool:
    """Whether heads may judge texts in other scripts: harmless ones were there to promise by, and what is held out does
    not say that the scores are no better than chance."""
    import numpy as np
    from sklearn.metrics import roc_auc_score

    if sum(others([row.text for row in benign]).tolist()) < _PROMISED:
        return False
    other = others([row.text for row in rows])
    harmful = np.array([row.harmful for row in rows])[other]
    return not _tell(harmful) or float(roc_auc_score(harmful, any_logit(side.logits(vectors[other])))) >= _CHANCE


def _line_for_other_scripts(raw: Scores, harmful: Flags, other: Flags) -> tuple[float, float] | None:
    """Slope and offset for scripts that the encoder may read less well; None where too few rows tell."""
    if not _tell(harmful[other]):
        return None
    try:
        line = fit_platt(raw[other], harmful[other])
    except CalibrationError:  # the scores say nothing there: every such text gets the same, middling probability
        return 0.0, 0.0
    return line.slope, line.offset


def _tell(harmful: Flags) -> bool:
    return bool(min(harmful.sum(), (~harmful).sum()) >= ENOUGH)
