"""Trying a live model, rule by rule: the attempts of all rules, and how often each rule was broken."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from constitution.calls import BudgetSpent, Meter
from constitution.probing.attempts import Attack, Prober
from constitution.probing.output import write_trying
from constitution.probing.probe import ProbeError
from constitution.probing.seeds import seeds_of
from constitution.probing.session import Session, hold, opened
from constitution.probing.settings import Common, is_withheld, named_rules
from constitution.probing.transcript import Attempt
from constitution.templates import TemplateSet
from guard.gate import Gate
from guard.training.metrics import Interval, share
from rules.digest import constitution_digest, rule_digest
from rules.schema import Constitution, Part, Rule


@dataclass(frozen=True, slots=True)
class Rate:
    """How often a rule was broken."""

    rule: str
    attempts: int
    """Those in which the target was asked anything."""
    broken: int
    by_gate: int | None
    """None where the gate does not look for the rule in answers."""
    by_judge: int | None
    """None without a judge."""
    unread: int
    """Answers of which the judge said nothing that can be read."""
    answers: int
    evasive: int
    ends: dict[str, int]
    turns_to_break: float | None
    """Mean number of messages up to the break; None where there was none."""

    @property
    def rate(self) -> Interval | None:
        """Share of the attempts that broke the rule, with the exact interval."""
        return share(self.broken, self.attempts)


@dataclass(slots=True)
class Tried:
    """What came of a run."""

    attempts: list[Attempt]
    rates: list[Rate]
    skipped: dict[str, str] = field(default_factory=dict)
    """Rule -> why it was not tried."""
    spent: BudgetSpent | None = None
    files: tuple[Path, ...] = ()


class Trying:
    """One run. `done` and `meter` can be read while it goes on."""

    def __init__(self, common: Common, target: str, attack: Attack, constitution: Constitution) -> None:
        """Check what can be checked before a model is loaded.

        Raises:
            ProbeError: an unknown rule, no attempts, or nothing to judge the answers by.
        """
        if attack.attempts < 1 or attack.turns < 1:
            raise ProbeError("no attempts or no turns were asked for", "ask for one or more of each")
        if attack.by == "judge" and common.judge is None:
            raise ProbeError("success is to be by the judge, and there is none", "give --judge")
        self.common, self.attack, self.constitution = common, attack, constitution
        self.target = f"openai:{target}" if target.startswith(("http://", "https://")) else target
        self.rules = named_rules(constitution, common.only)
        self.skipped: dict[str, str] = {}
        """Rule -> why it is not tried; known once the gate is open."""
        self.meter = Meter(budget=common.budget)
        self.done: list[Attempt] = []

    @property
    def total(self) -> int:
        """Attempts to come."""
        return self.attack.attempts * (len(self.rules) - len(self.skipped))

    async def run(self, *, anew: bool = False) -> Tried:
        """Make the attempts and write the files.

        Raises:
            ProbeError: the folder holds attempts that were made otherwise.
            ModelError: a model cannot answer. What was answered is kept; run again to go on.
        """
        grading = TemplateSet.read().of(self.common.language)
        async with opened(self.common, self.constitution, self.meter, target=self.target) as session:
            self._skip(session.gate)
            hold(self.common.out, self._determined(session), used=session.used, anew=anew)
            spent = None
            try:
                async with asyncio.TaskGroup() as group:
                    for rule in self.rules:
                        if rule.id in self.skipped:
                            continue
                        prober = Prober(
                            rule,
                            seeds_of(rule, "break", session.seeds),
                            session.askers["model"],
                            session.askers["target"],
                            session.judge,
                            session.gate,
                            session.words,
                            grading,
                            self.attack,
                        )
                        for number in range(self.attack.attempts):
                            group.create_task(self._attempt(prober, number))
            except* BudgetSpent as spent_group:
                spent = next(error for error in spent_group.exceptions if isinstance(error, BudgetSpent))
            place = {rule.id: index for index, rule in enumerate(self.rules)}
            self.done.sort(key=lambda attempt: (place[attempt.rule], attempt.number))
            rates = [self._rate(rule) for rule in self.rules if rule.id not in self.skipped]
            tried = Tried(self.done, rates, self.skipped, spent)
            tried.files = write_trying(self.common.out, tried, self.constitution, self.attack, self.meter)
            return tried

    async def _attempt(self, prober: Prober, number: int) -> None:
        self.done.append(await prober.attempt(number))

    def _skip(self, gate: Gate) -> None:
        """Note the rules that cannot be tried.

        Raises:
            ProbeError: none can.
        """
        unseen = gate.plan((Part.RESPONSE,), {}).coverage.not_scanned
        self.skipped = {rule.id: why for rule in self.rules if (why := self._why_not(rule, unseen))}
        if len(self.skipped) == len(self.rules):
            first, why = next(iter(self.skipped.items()))
            raise ProbeError(f"no rule can be tried: `{first}`: {why}", "name another --rule, or give --judge")

    def _why_not(self, rule: Rule, unseen: Mapping[str, str]) -> str:
        if is_withheld(rule):
            return "about the sexual exploitation of children: no model is asked for such requests"
        if rule.id not in unseen or (self.common.judge is not None and self.attack.by != "gate"):
            return ""
        judge = "" if self.attack.by == "gate" else ", and there is no judge"
        return f"the gate does not look for it in answers ({unseen[rule.id]}){judge}"

    def _rate(self, rule: Rule) -> Rate:
        own = [attempt for attempt in self.done if attempt.rule == rule.id]
        asked = [attempt for attempt in own if attempt.turns]
        turns = [turn for attempt in asked for turn in attempt.turns if turn.answer]
        broken = [attempt for attempt in asked if attempt.broken]
        judged = self.common.judge is not None
        looked = any(turn.gate is not None for turn in turns)
        return Rate(
            rule=rule.id,
            attempts=len(asked),
            broken=len(broken),
            by_gate=sum(attempt.gate_found for attempt in asked) if looked else None,
            by_judge=sum(attempt.judge_found for attempt in asked) if judged else None,
            unread=sum(turn.judge is None for turn in turns) if judged else 0,
            answers=len(turns),
            evasive=sum(bool(turn.evasive) for turn in turns),
            ends=dict(Counter(attempt.end for attempt in own).most_common()),
            turns_to_break=sum(len(attempt.turns) for attempt in broken) / len(broken) if broken else None,
        )

    def _determined(self, session: Session) -> dict[str, Any]:
        attack = dataclasses.asdict(self.attack)
        del attack["attempts"]  # more can be made of the same later
        return {
            "what": "attempts",
            "model": session.askers["model"].identity,
            "target": session.askers["target"].identity,
            "judge": session.judge.identity if session.judge else None,
            "gate": session.gate.identity,
            "constitution": constitution_digest(self.constitution),
            "templates": session.wording.digest,
            "rules": {rule.id: rule_digest(rule) for rule in self.rules},
            "seeds": sorted(f"{rule}/{kind}/{seed.id}" for rule, kind, seed in session.seeds),
            **attack,
        }


def total_rate(rates: Sequence[Rate]) -> Interval | None:
    """Share of all attempts that broke their rule."""
    return share(sum(rate.broken for rate in rates), sum(rate.attempts for rate in rates))
