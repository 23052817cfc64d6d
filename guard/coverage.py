"""What follows from a constitution and the parts under judgement before any text is seen, worked out once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from guard.detectors.base import Detector
from guard.verdict import Coverage
from rules.schema import Action, Constitution, Part, Rule


@dataclass(frozen=True, slots=True)
class Plan:
    """Coverage, starting scores and what a failure costs, for one set of parts and of detectors that looked."""

    coverage: Coverage
    scores: Mapping[str, float]
    """Rule id -> 0, for every rule that is looked for."""
    on_error: Mapping[str, Action]
    """Detector -> the action if it fails."""


def plan(
    constitution: Constitution, detectors: Sequence[Detector], under: Sequence[Part], skipped: Mapping[str, str]
) -> Plan:
    """The plan for parts under judgement.

    Args:
        constitution: the rules in force.
        detectors: all detectors of the gate.
        under: the parts.
        skipped: detector -> why it did not look, for those that need not.
    """
    scanned: dict[str, list[str]] = {detector.name: [] for detector in detectors if detector.name not in skipped}
    on_error = dict.fromkeys((detector.name for detector in detectors), Action.ALLOW)
    not_scanned = {}
    for rule in constitution:
        why_not = []
        for detector in detectors:
            covers = [detector.covers(rule, part) for part in under if part in rule.watches]
            if rule.detect is None or not any(covers):
                why_not += [f"{detector.name}: {cover.why_not}" for cover in covers[:1]]
                continue
            if detector.name in skipped:
                why_not.append(f"{detector.name}: {skipped[detector.name]}")
                continue
            for by in {cover.by: None for cover in covers if cover}:
                scanned.setdefault(by, []).append(rule.id)
            if rule.mode == "enforce" and rule.on_error == "block":
                on_error[detector.name] = Action.BLOCK
        if not any(rule.id in ids for ids in scanned.values()):
            not_scanned[rule.id] = _why_not(rule, under, why_not)
    coverage = Coverage({by: tuple(ids) for by, ids in scanned.items()}, not_scanned)
    found = [rule.id for rule in constitution if rule.id not in not_scanned]
    return Plan(coverage, dict.fromkeys(found, 0.0), on_error)


def without(coverage: Coverage, degraded: Mapping[str, str], failed: Mapping[str, Mapping[str, str]]) -> Coverage:
    """The coverage with what failed taken out of `scanned`, and named where nothing else looked for the rule.

    Args:
        coverage: as planned.
        degraded: detector -> what went wrong with it, whole or for some rules.
        failed: detector -> rule id -> why, for detectors that failed for some rules only.
    """
    kept: dict[str, tuple[str, ...]] = {}
    lost: set[str] = set()
    for by, ids in coverage.scanned.items():
        name = by.partition(":")[0]
        gone = set(failed[name]) if name in failed else set(ids) if name in degraded else set()
        if name in degraded and name not in failed:
            lost |= gone
            continue
        lost |= gone & set(ids)
        kept[by] = tuple(rule for rule in ids if rule not in gone) if gone else ids
    seen = {rule for ids in kept.values() for rule in ids}
    why = "its detector failed: " + ", ".join(degraded)
    return Coverage(kept, {**coverage.not_scanned, **dict.fromkeys(sorted(lost - seen), why)}, degraded)


def _why_not(rule: Rule, under: Sequence[Part], why_not: Sequence[str]) -> str:
    if rule.detect is None:
        return "it has no `detect`: only the loop uses it"
    if not set(under) & set(rule.watches):
        return "it does not watch the " + " or the ".join(under)
    return "; ".join(why_not) or "the gate has no detector for it"
