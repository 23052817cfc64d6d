"""What a gate says of a case for its own rule: found by which stage, or why not.

A verdict answers for the whole exchange, cheapest stage first. So a text that another rule's pattern has already
blocked, or that the static tier has cleared, says nothing of its own rule's score. Such texts are looked at again, by
each detector alone, and the stage that ended the look is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from guard.cascade import CLEAR, DECIDED, NOT_OPEN
from guard.detectors.base import AskedDetector, Bordered, Detector, Scan
from guard.trials.cases import Case

if TYPE_CHECKING:
    from guard.gate import Gate
    from guard.verdict import Finding, Verdict
    from rules.schema import Part, Rule

AT_ONCE = 8
"""Texts a batch: live requests that come meanwhile wait for a few texts, not for all."""

_HIDDEN = "hidden:"
"""How the views of hidden characters are named; they are a stage of their own for who reads the table."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the gate said of one case."""

    case: Case
    found: bool
    """Whether its own rule was found broken."""
    stage: str = ""
    """What found it: `patterns`, `hidden`, `meaning`, `judge` ...; else the last stage that looked for the rule, or
    that ended the look, as `static`; empty where nothing looked."""
    view: str = ""
    """Where it was found: `raw`, or the name of the view that takes a disguise off."""
    score: float | None = None
    """The highest score of its own rule, from 0 to 1; None where no stage gives one."""
    threshold: float | None = None
    """The score from which that stage finds the rule; None where there is none."""
    why: str = ""
    """Why it was not found; empty where it was."""
    others: tuple[str, ...] = ()
    """Other rules that were found broken in it."""
    failed: bool = False
    """Whether a detector that looks for the rule failed on it."""

    @property
    def passed(self) -> bool:
        """Whether the gate does with it what the rule says. What could not be looked at never passes by the fault."""
        if self.failed and not self.found:
            return False
        return self.found == (self.case.kind == "breaks")


@dataclass(slots=True)
class _Alone:
    """What each detector says of one case, whatever the others say."""

    scans: dict[str, Scan] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)


def look(gate: Gate, cases: Sequence[Case], *, explain: bool = True, at_once: int = AT_ONCE) -> Iterator[Seen]:
    """Judge cases, in order, a batch at a time. Blocks while models run.

    Args:
        gate: what judges.
        cases: texts of the gate's own rules.
        explain: look again at what was not found, for its score and the reason, which takes about twice as long.
        at_once: texts a batch.
    """
    rules = {rule.id: rule for rule in gate.constitution}
    for start in range(0, len(cases), at_once):
        some = cases[start : start + at_once]
        verdicts = gate.judge_many([case.exchange for case in some])
        unclear = [
            place
            for place, (case, verdict) in enumerate(zip(some, verdicts, strict=True))
            if case.rule not in verdict.broken and (explain or _is_decided(gate, rules[case.rule], case, verdict))
        ]
        alone = dict(zip(unclear, _look_alone(gate, [some[place] for place in unclear]), strict=True))
        for place, (case, verdict) in enumerate(zip(some, verdicts, strict=True)):
            others = tuple(rule for rule in verdict.broken if rule != case.rule)
            if place in alone:
                yield _not_found(gate, rules[case.rule], case, verdict, alone[place], others)
            elif case.rule in verdict.broken:
                yield _found(case, _first(gate, verdict, case.rule), others)
            else:
                failed = any(_failed(detector, rules[case.rule], case.part, verdict) for detector in gate.detectors)
                yield Seen(case, False, others=others, failed=failed)


def _is_decided(gate: Gate, rule: Rule, case: Case, verdict: Verdict) -> bool:
    """Whether another rule ended the look before all that look for this rule had looked."""
    covering = [detector for detector in gate.detectors if detector.covers(rule, case.part)]
    return any(_why_skipped(gate, detector, verdict) == DECIDED for detector in covering)


def _look_alone(gate: Gate, cases: Sequence[Case]) -> list[_Alone]:
    """Every detector that asks no model elsewhere, on each case."""
    looked = [_Alone() for _ in cases]
    exchanges = [case.exchange for case in cases]
    for detector in gate.detectors if cases else ():
        if isinstance(detector, AskedDetector):
            continue
        try:
            scans = detector.scan(exchanges)
        except Exception as error:  # the verdicts say so too
            for each in looked:
                each.errors[detector.name] = str(error) or type(error).__name__
            continue
        for each, scan in zip(looked, scans, strict=True):
            each.scans[detector.name] = scan
    return looked


def _first(gate: Gate, verdict: Verdict, rule: str) -> Finding:
    """The finding of the first stage that found the rule; its highest score."""
    order = {detector.name: place for place, detector in enumerate(gate.detectors)}
    mine = [finding for finding in verdict.findings if finding.rule == rule]
    return min(mine, key=lambda finding: (order.get(finding.detector, len(order)), -finding.score))


def _found(case: Case, finding: Finding, others: tuple[str, ...]) -> Seen:
    stage = "hidden" if finding.view.startswith(_HIDDEN) else finding.detector
    return Seen(case, True, stage, finding.view, finding.score, finding.threshold, others=others)


def _not_found(gate: Gate, rule: Rule, case: Case, verdict: Verdict, alone: _Alone, others: tuple[str, ...]) -> Seen:
    covering = [detector for detector in gate.detectors if detector.covers(rule, case.part)]
    if not covering:
        return Seen(case, False, why=_why_nothing(gate, rule, case), others=others)
    skipped = {detector.name: _why_skipped(gate, detector, verdict) for detector in covering}
    finding = next((each for each in _findings(alone) if each.rule == rule.id), None)
    if finding is not None and skipped.get(finding.detector) == DECIDED:
        # Blocked already by another rule: what its own rule would have said is what is asked here.
        return _found(case, finding, others)
    score, threshold, scored_by = _score(covering, rule, case, alone)
    about = _scored(scored_by, score, threshold)
    failed = [detector for detector in covering if _failed(detector, rule, case.part, verdict)]
    if failed:
        name = failed[0].name
        why = f"{name} failed: {verdict.coverage.degraded[name]}"
        return Seen(case, False, name, "", score, threshold, why, others, failed=True)
    cleared = next((each for each in covering if skipped[each.name] == CLEAR), None)
    if cleared is not None:
        stage = next((detector.name for detector in gate.detectors if _clears(detector, alone)), cleared.name)
        would = f"; {about}" if about else ""
        why = f"the {stage} tier cleared it, so {cleared.name} did not look{would}"
        return Seen(case, False, stage, "", score, threshold, why, others)
    looked = [detector for detector in covering if not skipped[detector.name]]
    asked = [detector for detector in looked if isinstance(detector, AskedDetector)]
    unsure = any(rule.id in scan.unsure for scan in alone.scans.values())
    for detector in asked:
        if unsure or detector.always(rule):
            said = f"{detector.name} was asked and did not find it"
            why = f"{said}; {about}" if about else said
            return Seen(case, False, detector.name, "", score, threshold, why, others)
    stage = scored_by or next((detector.name for detector in reversed(looked) if detector not in asked), "")
    return Seen(case, False, stage, "", score, threshold, about or _why_no_score(covering, rule, case, gate), others)


def _findings(alone: _Alone) -> Iterator[Finding]:
    for scan in alone.scans.values():
        yield from scan.findings


def _score(
    covering: Sequence[Detector], rule: Rule, case: Case, alone: _Alone
) -> tuple[float | None, float | None, str]:
    """The score of the detector that gives one below its threshold, that threshold, and the detector's name."""
    for detector in covering:
        scan = alone.scans.get(detector.name)
        if scan is not None and isinstance(detector, Bordered) and not isinstance(detector, AskedDetector):
            return scan.scores.get(rule.id, 0.0), detector.threshold(rule, case.part), detector.name
    return None, None, ""


def _scored(name: str, score: float | None, threshold: float | None) -> str:
    if score is None or threshold is None:
        return ""
    if score >= threshold:
        return f"{name} would have found it: {score:.3f} of {threshold:.3f}"
    return f"{name} gives {score:.3f}, and finds it from {threshold:.3f}"


def _why_nothing(gate: Gate, rule: Rule, case: Case) -> str:
    if case.part not in rule.watches:
        return f"nothing looked: the rule does not watch the {case.part}"
    return "nothing looked: " + "; ".join(_why_not_others(gate, rule, case))


def _why_no_score(covering: Sequence[Detector], rule: Rule, case: Case, gate: Gate) -> str:
    """Where only stages without a score looked: that they found nothing, and why no other could."""
    names = " and ".join(each.name for each in covering if not isinstance(each, AskedDetector)) or "no stage"
    return "; ".join([f"{names} found nothing", *_why_not_others(gate, rule, case)])


def _why_not_others(gate: Gate, rule: Rule, case: Case) -> list[str]:
    """Why the detectors that do not look for the rule in this part do not."""
    told = [
        f"{each.name}: {cover.why_not}"
        for each in gate.detectors
        if not (cover := each.covers(rule, case.part)) and each.name != "static"
    ]
    if not any(each.name == "meaning" for each in gate.detectors):
        turned_off = rule.detect is not None and rule.detect.meaning is None
        told.append("the rule turns meaning off" if turned_off else "the gate has no meaning stage")
    return told


def _why_skipped(gate: Gate, detector: Detector, verdict: Verdict) -> str:
    """Why a detector of the gate did not look at the text; empty where it did."""
    ran = any(name.partition(":")[0] == detector.name for name in verdict.coverage.scanned)
    if ran or detector.name in verdict.coverage.degraded:
        return ""
    if isinstance(detector, AskedDetector):
        return NOT_OPEN
    before = gate.detectors[: gate.detectors.index(detector)]
    return DECIDED if any(finding.detector in {each.name for each in before} for finding in verdict.findings) else CLEAR


def _clears(detector: Detector, alone: _Alone) -> bool:
    scan = alone.scans.get(detector.name)
    return scan is not None and scan.clear


def _failed(detector: Detector, rule: Rule, part: Part, verdict: Verdict) -> bool:
    """Whether a detector failed on the text, for this rule."""
    if detector.name not in verdict.coverage.degraded or not detector.covers(rule, part):
        return False
    scanned: Mapping[str, tuple[str, ...]] = verdict.coverage.scanned
    return not any(name.partition(":")[0] == detector.name and rule.id in ids for name, ids in scanned.items())
