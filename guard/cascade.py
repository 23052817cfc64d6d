"""The stages in their order: which detector still has to look at an exchange, and what its scan changes.

A stage runs only where the ones before it left the question open: not where a block is already certain, and, for a
detector that says so, not where an earlier one has called the text clear.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from guard.coverage import plan, without
from guard.detectors.base import AskedDetector, Detector, Scan, parts
from guard.exchange import Exchange
from guard.verdict import Finding, Verdict
from rules.digest import constitution_digest
from rules.schema import Action, Constitution

_WORSE = {action: rank for rank, action in enumerate(Action)}
_LAST = max(Action, key=lambda action: _WORSE[action])

CLEAR = "an earlier stage cleared the text"
DECIDED = "an earlier stage decided"
NOT_OPEN = "no rule was left open"


class Case:
    """One exchange on its way through the stages."""

    __slots__ = ("action", "clear", "exchange", "ms", "scans", "skipped", "under", "unsure")

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.under = tuple(part for part, _ in parts(exchange))
        self.action = Action.ALLOW
        self.clear = False
        self.unsure: frozenset[str] = frozenset()
        self.scans: dict[str, Scan | Exception] = {}
        self.skipped: dict[str, str] = {}
        """Detector -> why it need not look."""
        self.ms: dict[str, float] = {}


class Cascade:
    """Takes cases through the detectors of a gate, cheapest first."""

    def __init__(self, constitution: Constitution, detectors: Sequence[Detector], *, thorough: bool = False) -> None:
        """A cascade of ready detectors; a thorough one lets each look, whatever those before it have seen."""
        self._constitution = constitution
        self._rules = {rule.id: rule for rule in constitution}
        self._detectors = tuple(detectors)
        self._thorough = thorough
        self.digest = constitution_digest(constitution)
        self.instant = tuple(_leading_instant(detectors))
        """The detectors that cost microseconds and stand before all dearer ones."""
        self.models = tuple(
            detector for detector in detectors[len(self.instant) :] if not isinstance(detector, AskedDetector)
        )
        """Those that need a worker thread."""
        self.asked = tuple(detector for detector in detectors if isinstance(detector, AskedDetector))
        """Those that wait for a model elsewhere."""
        self._always = {
            detector.name: frozenset(rule.id for rule in constitution if rule.detect and detector.always(rule))
            for detector in self.asked
        }
        self.plan = lru_cache(maxsize=256)(
            lambda under, skipped: plan(self._constitution, self._detectors, under, dict(skipped))
        )

    def look(self, cases: Sequence[Case], detectors: Sequence[Detector]) -> None:
        """Let each detector look at the cases that are open to it, in one batch."""
        for detector in detectors:
            due = [case for case in cases if self._due(case, detector)]
            if not due:
                continue
            start = time.perf_counter()
            scans = _scan(detector, [case.exchange for case in due])
            each = (time.perf_counter() - start) * 1000 / len(due)
            for case, scan in zip(due, scans, strict=True):
                self._note(case, detector, scan, each)

    async def ask(self, cases: Sequence[Case]) -> None:
        """Ask the asked detectors about the rules that are still open."""
        for detector in self.asked:
            due: list[tuple[Case, frozenset[str]]] = []
            for case in cases:
                rules = self._open(case, detector)
                if rules:
                    due.append((case, rules))
            if not due:
                continue
            start = time.perf_counter()
            scans: Sequence[Scan | Exception]
            try:
                scans = await detector.ask([case.exchange for case, _ in due], [rules for _, rules in due])
                if len(scans) != len(due):
                    scans = [RuntimeError(f"{len(scans)} scans for {len(due)} exchanges")] * len(due)
            except Exception as error:
                scans = [error] * len(due)
            each = (time.perf_counter() - start) * 1000
            for (case, _), scan in zip(due, scans, strict=True):
                self._note(case, detector, scan, each)

    def needs(self, case: Case, detectors: Sequence[Detector]) -> bool:
        """Whether any of the detectors has still to look; notes why, for those that need not."""
        due = [self._due(case, detector) for detector in detectors]
        return any(due)

    def needs_asking(self, case: Case) -> bool:
        """Whether any rule is left open for a detector that is asked; notes why, where none is."""
        left_open = [self._open(case, detector) for detector in self.asked]
        return any(left_open)

    def verdict(self, case: Case) -> Verdict:
        """What the scans of a case that has been through the stages come to."""
        planned = self.plan(case.under, tuple(sorted(case.skipped.items())))
        findings: list[Finding] = []
        scores: Mapping[str, float] = planned.scores
        topics: Mapping[str, float] = {}
        degraded: dict[str, str] = {}
        failed: dict[str, Mapping[str, str]] = {}
        partial: dict[str, str] = {}
        for name, scan in case.scans.items():
            if isinstance(scan, Exception):
                degraded[name] = str(scan) or type(scan).__name__
                continue
            if scan.failed:
                failed[name] = scan.failed
                degraded[name] = "; ".join(dict.fromkeys(scan.failed.values()))
            if scan.partial:
                partial[name] = scan.partial
            if scan.scores:
                scores = {**scores, **{rule: max(score, scores.get(rule, 0.0)) for rule, score in scan.scores.items()}}
            topics = scan.topics or topics
            findings.extend(scan.findings)
        coverage = without(planned.coverage, degraded, failed) if degraded else planned.coverage
        if partial:
            coverage = replace(coverage, partial=partial)
        return Verdict(case.action, tuple(findings), coverage, self.digest, case.ms, scores, topics)

    def with_findings(self, verdict: Verdict, findings: Sequence[Finding]) -> Verdict:
        """The verdict with further findings, and with the action and scores that they lead to."""
        action = verdict.action
        scores = dict(verdict.scores)
        for finding in findings:
            action = _worse(action, self._action(finding))
            scores[finding.rule] = max(finding.score, scores.get(finding.rule, 0.0))
        return replace(verdict, action=action, findings=(*verdict.findings, *findings), scores=scores)

    def _due(self, case: Case, detector: Detector) -> bool:
        name = detector.name
        if name in case.scans:
            return False
        if not self._thorough:
            if case.action is _LAST:
                case.skipped[name] = DECIDED
                return False
            if case.clear and detector.skips_clear:
                case.skipped[name] = CLEAR
                return False
        return True

    def _open(self, case: Case, detector: AskedDetector) -> frozenset[str]:
        if not self._due(case, detector):
            return frozenset()
        broken = {finding.rule for scan in case.scans.values() if isinstance(scan, Scan) for finding in scan.findings}
        wanted = (case.unsure | self._always[detector.name]) - broken
        rules = frozenset(
            rule
            for rule in wanted
            if any(
                part in self._rules[rule].watches and detector.covers(self._rules[rule], part) for part in case.under
            )
        )
        if not rules:
            case.skipped[detector.name] = NOT_OPEN
        return rules

    def _note(self, case: Case, detector: Detector, scan: Scan | Exception, ms: float) -> None:
        case.scans[detector.name] = scan
        case.ms[detector.name] = ms
        if isinstance(scan, Exception):
            case.action = _worse(case.action, self.plan(case.under, ()).on_error[detector.name])
            return
        case.clear = case.clear or scan.clear
        case.unsure = case.unsure | scan.unsure
        for rule_id in scan.failed:
            rule = self._rules[rule_id]
            if rule.mode == "enforce" and rule.on_error == "block":
                case.action = Action.BLOCK
        for finding in scan.findings:
            case.action = _worse(case.action, self._action(finding))

    def _action(self, finding: Finding) -> Action:
        rule = self._rules[finding.rule]
        return rule.action(finding.part) if rule.mode == "enforce" else Action.ALLOW


def _leading_instant(detectors: Sequence[Detector]) -> list[Detector]:
    leading: list[Detector] = []
    for detector in detectors:
        if not detector.instant:
            break
        leading.append(detector)
    return leading


def _scan(detector: Detector, exchanges: Sequence[Exchange]) -> Sequence[Scan | Exception]:
    try:
        scans = detector.scan(exchanges)
        if len(scans) == len(exchanges):
            return scans
        return [RuntimeError(f"{len(scans)} scans for {len(exchanges)} exchanges")] * len(exchanges)
    except Exception as error:
        if len(exchanges) == 1:
            return [error]
    # One text that a detector cannot take must not degrade the verdicts on its neighbours in the batch.
    return [_scan(detector, (exchange,))[0] for exchange in exchanges]


def _worse(one: Action, other: Action) -> Action:
    return one if _WORSE[one] >= _WORSE[other] else other
