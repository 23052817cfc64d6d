"""The post: what all watches of one guard share, worked out once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from guard.exchange import Exchange
from guard.gate import INLINE_LIMIT, Gate
from guard.guarding.history import History
from guard.guarding.merging import Merger
from guard.guarding.replying import Replies
from guard.guarding.reviser import Reviser
from guard.guarding.settings import GuardSettings
from guard.judging.breaker import Breaker
from guard.verdict import Finding, Verdict
from guard.window.choice import rank
from rules.schema import Action, Part, Rule

_SENT = (Part.SYSTEM, Part.PROMPT, Part.TOOL_RESULT, Part.RESPONSE, Part.REASONING, Part.TOOL_CALL)

MENDS = (Action.REVISE, Action.RESAMPLE)
"""Actions on a prompt that are done to the answer."""

FAILURES = 3
"""Times in a row that the reviser fails before it is left alone."""

REST_S = 30.0
"""Seconds for which it is."""


class Post:
    """A gate with its settings, as the watches use it. Safe to use from several threads and event loops."""

    def __init__(self, gate: Gate, settings: GuardSettings, reviser: Reviser | None) -> None:
        """A post at a gate that somebody else closes."""
        self.gate = gate
        self.settings = settings
        self.reviser = reviser
        self.breaker = Breaker(FAILURES, REST_S)
        """Of the reviser: nobody is to wait for one that is down."""
        self.shadow = settings.mode == "shadow"
        self.rules: dict[str, Rule] = {rule.id: rule for rule in gate.constitution}
        self.replies = Replies(gate.constitution)
        self.history = History()
        self.merger = Merger()
        self.window = settings.window.model_copy(update={"mask": settings.mask})
        self.instant = all(detector.instant for detector in gate.detectors)
        """Whether every detector costs microseconds."""
        self.early = self.shadow or not any(
            rule.mode == "enforce" and part in rule.watches and rule.action(part) is Action.REDACT
            for rule in self.rules.values()
            for part in _SENT[:3]
        )

    async def judge(self, exchanges: Sequence[Exchange], size: int) -> list[Verdict]:
        """The gate's verdicts, in order.

        Args:
            exchanges: what is judged.
            size: characters under judgement in all of them together.
        """
        if self.instant and size <= INLINE_LIMIT:
            return self.gate.judge_many(exchanges)  # a task for microseconds of work would cost more than the work
        if len(exchanges) == 1:
            return [await self.gate.ajudge(exchanges[0])]
        turns = [Exchange(each.messages[-1:]) for each in exchanges if each.messages[-1].role == "user"]
        if len(turns) > 1:
            # Each is looked at with those before it: judged alone first, none of them goes through the models twice.
            await asyncio.gather(*map(self.gate.ajudge, turns))
        return list(await asyncio.gather(*map(self.gate.ajudge, exchanges)))

    def cannot(self, action: Action, *, redraws: bool = True) -> str:
        """Why no answer can be mended as an action asks; empty where it can.

        Args:
            action: any.
            redraws: whether the model can be asked again.
        """
        if action is Action.REVISE:
            if self.reviser is None:
                return "no reviser"
            return "" if self.settings.rounds else "no rounds are allowed"
        return "no way to draw again" if action is Action.RESAMPLE and not redraws else ""

    def acts(self, finding: Finding) -> Action:
        """What the finding leads to."""
        rule = self.rules[finding.rule]
        return rule.action(finding.part) if rule.mode == "enforce" else Action.ALLOW

    def enforced(self, finding: Finding) -> bool:
        """Whether the finding is acted on."""
        return not self.shadow and self.rules[finding.rule].mode == "enforce"

    def spared(self, finding: Finding) -> Action:
        """What the finding would lead to, where it is not enforced."""
        return Action.ALLOW if self.enforced(finding) else self.rules[finding.rule].action(finding.part)

    def spared_by(self, verdict: Verdict) -> Action:
        """What a verdict would lead to beyond what is enforced of it."""
        action = verdict.action if self.shadow else Action.ALLOW
        for finding in verdict.findings:
            action = worse(action, self.spared(finding))
        return action

    def ranked(self, findings: Iterable[Finding], least: Action = Action.FLAG) -> tuple[str, ...]:
        """Ids of the rules that findings have acted by, the gravest action first, then the highest score.

        Args:
            findings: any.
            least: the mildest action that counts.
        """
        acting = [(rank(self.acts(finding)), finding.score, finding.rule) for finding in findings]
        acting = [found for found in acting if found[0] >= rank(least)]
        acting.sort(key=lambda found: (-found[0], -found[1]))
        return tuple(dict.fromkeys(rule for _, _, rule in acting))


def worse(one: Action, other: Action) -> Action:
    """The graver of two actions."""
    return one if one is other or rank(one) >= rank(other) else other
