"""What the verdict would be without this or that: the stages gone through again with what each of them says.

No model is asked again. Each stage's say is known, also of those that an earlier one made needless.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from guard.cascade import CLEAR, DECIDED
from guard.detectors.base import AskedDetector
from guard.gate import Gate
from guard.guarding.post import worse
from guard.verdict import Finding
from rules.schema import Action, Rule

LAST = list(Action)[-1]


@dataclass(frozen=True, slots=True)
class Carrier:
    """One thing that found a rule."""

    rule: str
    stage: str
    """The detector."""
    pattern: int | None = None
    """Which of the rule's patterns; None where it was none."""


@dataclass(frozen=True, slots=True)
class Said:
    """What one stage says of a text, whether or not it had to look."""

    stage: str
    findings: tuple[tuple[Carrier, Finding], ...] = ()
    clear: bool = False
    skips_clear: bool = False
    failure: Action | None = None
    """What its failure leads to; None where it did not fail."""
    known: bool = True
    """Whether it was asked at all."""


@dataclass(frozen=True, slots=True)
class Otherwise:
    """The verdict without some of what was found."""

    without: tuple[Carrier, ...]
    action: Action
    broken: tuple[str, ...]
    """Rules that are found broken then."""
    unknown: tuple[str, ...] = ()
    """Stages that would then have a say and were not asked."""


def replayed(gate: Gate, said: Sequence[Said], without: Collection[Carrier] = ()) -> Otherwise:
    """The verdict that the stages come to, without some of what they found.

    Args:
        gate: whose rules say what a finding leads to.
        said: each stage's say, in the gate's order; the look over joined turns last.
        without: what is taken away.
    """
    rules: Mapping[str, Rule] = {rule.id: rule for rule in gate.constitution}
    action, clear = Action.ALLOW, False
    broken: dict[str, None] = {}
    unknown = []
    for each in said:
        if why_needless(action, clear, each):
            continue
        if not each.known:
            unknown.append(each.stage)
        clear = clear or each.clear
        if each.failure is not None:
            action = worse(action, each.failure)
        for carrier, finding in each.findings:
            if carrier in without:
                continue
            broken[finding.rule] = None
            action = worse(action, acts(rules[finding.rule], finding))
    return Otherwise(tuple(without), action, tuple(broken), tuple(unknown))


def why_needless(action: Action, clear: bool, stage: Said) -> str:
    """Why a stage need not look, after those before it; empty where it has to."""
    if stage.stage == "joined":
        return ""
    if action is LAST:
        return DECIDED
    return CLEAR if clear and stage.skips_clear else ""


def acts(rule: Rule, finding: Finding) -> Action:
    """What a finding leads to."""
    return rule.action(finding.part) if rule.mode == "enforce" else Action.ALLOW


def otherwise(gate: Gate, said: Sequence[Said], rule: str) -> tuple[Otherwise, ...]:
    """The verdict without each thing that found a rule, and without all of them where there are several."""
    carriers = tuple(dict.fromkeys(carrier for each in said for carrier, _ in each.findings if carrier.rule == rule))
    return tuple(replayed(gate, said, without) for without in _removals(carriers))


def _removals(carriers: tuple[Carrier, ...]) -> Iterator[tuple[Carrier, ...]]:
    for carrier in carriers:
        yield (carrier,)
    if len(carriers) > 1:
        yield carriers


def was_asked(gate: Gate, stage: str, ran: Collection[str]) -> bool:
    """Whether a stage's say is known: all are, but those that ask a model elsewhere and were not asked."""
    detector = next((each for each in gate.detectors if each.name == stage), None)
    return not isinstance(detector, AskedDetector) or stage in ran
