"""Thresholds that carry the promise of the whole gate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from guard.detectors.base import Detector
from guard.encoders import Encoder
from guard.exchange import Exchange
from guard.gate import Gate
from guard.trained.heads import Heads
from guard.trained.sides import ASKED
from guard.training.calibrate import unsure_from
from guard.training.rows import Row, by_side
from guard.training.settings import Told, Training
from guard.training.traffic import promise, score_traffic


def promised(what: Training, heads: Heads, encoder: Encoder, benign: Sequence[Row], told: Told) -> Heads:
    """The heads with thresholds that keep the budget on the benign rows, through the whole gate."""
    from guard.detectors.meaning import MeaningDetector
    from guard.detectors.patterns import Patterns

    for side in heads.sides:
        rows = by_side(benign).get(side, [])
        if not rows:
            told(f"{side}: no harmless rows were left to promise a rate by; the threshold is one half")
            continue
        detectors: list[Detector] = [
            Patterns(what.constitution),
            MeaningDetector(what.constitution, encoder, heads, topics=False),
        ]
        gate = Gate(what.constitution, detectors, thorough=True)
        exchanges = (
            (
                f"{row.source}:{place}",
                Exchange.of(row.text) if row.prompt is None else Exchange.of(row.prompt, row.text),
            )
            for place, row in enumerate(rows, 1)
        )
        scored = score_traffic(gate, exchanges)
        traffic = "prompts" if side == ASKED else "answers"
        kept = promise(scored, what.budget, f"{traffic} of the held-out benign pool ({_mix(rows)})")
        unsure = unsure_from([row.score for row in scored], kept.threshold, what.unsure)
        heads = heads.with_threshold(side, kept.threshold, unsure, kept.as_dict())
        told(f"{side}: {kept}")
    return heads


def _mix(rows: Sequence[Row]) -> str:
    return ", ".join(f"{source} {count}" for source, count in Counter(row.source for row in rows).most_common())
