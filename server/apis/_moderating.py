"""What the gate said of some texts, as a decision and as OpenAI's moderation results."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from guard.guard import Guard
from guard.guarding.decision import Decision, Placed
from guard.guarding.incoming import Unscannable
from guard.guarding.merging import merge
from guard.language import language_of
from guard.verdict import Coverage, Finding, Verdict
from guard.window.choice import rank
from rules.schema import Action
from server.apis._crosswalk import read_crosswalk
from server.proxy.telling import told_object
from server.settings import TellSettings

NOT_JUDGED = "wardlaw:not-judged"
"""The category of what is flagged though no rule is broken: a detector failed, or something cannot be read."""
_NAMED = 8
"""Unscannable things that coverage names one by one."""


@dataclass(frozen=True, slots=True)
class Input:
    """One thing to judge."""

    where: str
    text: str
    unscannable: tuple[Unscannable, ...] = ()


class Moderation:
    """What came of the inputs of one request."""

    def __init__(self, guard: Guard, name: str, inputs: Sequence[Input], verdicts: Sequence[Verdict]) -> None:
        """Put verdicts together.

        Args:
            guard: whose gate has judged.
            name: the decision's id.
            inputs: what was judged.
            verdicts: one each.
        """
        self._guard = guard
        self._name = name
        self._judged = list(zip(inputs, verdicts, strict=True))
        self._acting = {rule.id: rule for rule in guard.gate.constitution if rule.mode == "enforce"}

    @property
    def decision(self) -> Decision:
        """The decision on all of them."""
        decision = self._decide(self._judged)
        shadow = decision.mode == "shadow"
        return replace(decision, action=Action.ALLOW, rules=()) if shadow else decision

    def results(self, tell: TellSettings) -> list[dict[str, Any]]:
        """A result an input.

        The gate was asked, and this is its answer: also where the guard only records, a rule in force counts.
        """
        crosswalk = read_crosswalk()
        counts = {rule.id: crosswalk.counts_for(rule) for rule in self._guard.gate.constitution}
        names = tuple(
            dict.fromkeys([*crosswalk.categories, *(name for each in counts.values() for name in each), NOT_JUDGED])
        )
        return [self._result(given, verdict, counts, names, tell) for given, verdict in self._judged]

    def _result(
        self,
        given: Input,
        verdict: Verdict,
        counts: Mapping[str, Sequence[str]],
        names: Sequence[str],
        tell: TellSettings,
    ) -> dict[str, Any]:
        decision = self._decide([(given, verdict)])
        looked = {rule for rules in verdict.coverage.scanned.values() for rule in rules}
        categories = dict.fromkeys(names, False)
        scores = dict.fromkeys(names, 0.0)
        applied: dict[str, list[str]] = {name: [] for name in names}
        for rule, counted in counts.items():
            for name in counted:
                categories[name] = categories[name] or rule in decision.rules
                scores[name] = max(scores[name], verdict.scores.get(rule, 0.0))
                if rule in looked:
                    applied[name] = ["text"]
        flagged = decision.action is not Action.ALLOW
        if flagged and not any(categories.values()):
            categories[NOT_JUDGED], scores[NOT_JUDGED] = True, 1.0
        language = language_of(given.text[:2000])
        return {
            "flagged": flagged,
            "categories": categories,
            "category_scores": scores,
            "category_applied_input_types": applied,
            "wardlaw": told_object(decision, self._guard, tell, language),
        }

    def _decide(self, judged: Sequence[tuple[Input, Verdict]]) -> Decision:
        """A decision as if the guard enforced what it finds."""
        guard = self._guard
        found = [(given.where, finding) for given, verdict in judged for finding in verdict.findings]
        unscannable = tuple(thing for given, _ in judged for thing in given.unscannable)
        actions = [verdict.action for _, verdict in judged]
        coverages = list({id(verdict.coverage): verdict.coverage for _, verdict in judged}.values())
        if unscannable:
            actions.append(Action(guard.settings.unscannable))
            coverages.append(_unread(unscannable))
        ms: dict[str, float] = {}
        for _, verdict in judged:
            for stage, spent in verdict.ms.items():
                ms[stage] = ms.get(stage, 0.0) + spent
        worst = max(actions, key=rank)
        shadow = guard.settings.mode == "shadow"
        return Decision(
            id=self._name,
            at=time.time(),
            action=worst,
            would=worst,
            findings=tuple(Placed(each, where, each.rule in self._acting and not shadow) for where, each in found),
            coverage=merge(coverages),
            constitution=guard.gate.digest,
            mode=guard.settings.mode,
            ms=ms,
            unscannable=unscannable,
            rules=self._broken(each for _, each in found),
        )

    def _broken(self, findings: Iterable[Finding]) -> tuple[str, ...]:
        """Ids of the rules in force that are broken, the gravest action first, then the highest score."""
        told = [
            (rank(rule.action(each.part)), each.score, each.rule)
            for each in findings
            if (rule := self._acting.get(each.rule)) is not None and rule.action(each.part) is not Action.ALLOW
        ]
        told.sort(key=lambda each: (-each[0], -each[1]))
        return tuple(dict.fromkeys(rule for _, _, rule in told))


def _unread(things: Sequence[Unscannable]) -> Coverage:
    named = ", ".join(f"`{thing.what}` at {thing.where}" for thing in things[:_NAMED])
    more = f" and {len(things) - _NAMED} more" if len(things) > _NAMED else ""
    return Coverage(partial={"guard": f"no detector can read {named}{more}"})
