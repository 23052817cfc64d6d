"""Who looks for a rule in which part, from which score, and what that score rests on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from guard.detectors._taught import SIDE
from guard.detectors.base import Bordered
from guard.detectors.meaning import MeaningDetector
from guard.gate import Gate
from rules.schema import Part, Rule

Basis = Literal["", "rule", "promise", "border", "setting"]
"""What a threshold rests on: fixed by the rule; set to keep what the heads' card promises; the border of what is
judged by examples; or a setting of the detector."""


@dataclass(frozen=True, slots=True)
class Looking:
    """Whether one detector looks for a rule in one part."""

    part: Part
    detector: str
    by: str = ""
    """How coverage lists it: `meaning`, `meaning:stale`, `meaning:examples` ...; empty where it does not look."""
    why_not: str = ""
    threshold: float | None = None
    """The score from which the rule is found; None where the detector gives none beforehand."""
    basis: Basis = ""
    promise: Mapping[str, Any] | None = None
    """What the heads' card promises of the threshold: budget, rows, observed, bound, traffic."""
    heads: str = ""
    """Digest of the heads that judge."""


def looking(gate: Gate, rule: Rule) -> tuple[Looking, ...]:
    """Each detector of the gate, for each part that the rule watches; cheapest first."""
    return tuple(_looking(gate, rule))


def meaning_of(gate: Gate) -> MeaningDetector | None:
    """The gate's meaning detector, if it has one."""
    return next((each for each in gate.detectors if isinstance(each, MeaningDetector)), None)


def _looking(gate: Gate, rule: Rule) -> Iterator[Looking]:
    for part in rule.watches:
        if rule.detect is None:
            yield Looking(part, "", why_not="it has no `detect`: only the loop uses it")
            continue
        for detector in gate.detectors:
            cover = detector.covers(rule, part)
            if not cover:
                yield Looking(part, detector.name, why_not=cover.why_not)
            elif isinstance(detector, MeaningDetector):
                yield _by_meaning(detector, rule, part, cover.by)
            elif isinstance(detector, Bordered):
                yield Looking(part, detector.name, cover.by, "", detector.threshold(rule, part), "setting")
            else:
                yield Looking(part, detector.name, cover.by)
        if meaning_of(gate) is None:
            yield Looking(part, "meaning", why_not="the gate has no meaning stage")


def _by_meaning(detector: MeaningDetector, rule: Rule, part: Part, by: str) -> Looking:
    threshold = detector.threshold(rule, part)
    heads = detector.heads_of(rule, part)
    digest = heads.digest if heads else ""
    meaning = rule.detect.meaning if rule.detect else None
    if meaning is not None and meaning.threshold != "auto":
        return Looking(part, detector.name, by, "", threshold, "rule", heads=digest)
    if heads is None:
        return Looking(part, detector.name, by, "", threshold, "border")
    promises = heads.card.get("promises")
    promise = promises.get(SIDE[part]) if isinstance(promises, Mapping) else None
    return Looking(part, detector.name, by, "", threshold, "promise", promise, digest)
