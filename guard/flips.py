"""Verdict flips: where two constitutions, or two versions of one, judge the same text otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from guard.verdict import Verdict
from rules.schema import Action

Direction: TypeAlias = Literal["stricter", "milder", "other"]
"""`other`: the same action, led to by other rules."""

_RANK = {action: rank for rank, action in enumerate(Action)}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a verdict comes to, as far as it is compared, kept in the audit and shown."""

    action: Action
    rules: Mapping[str, float] = field(default_factory=dict)
    """Rules found broken -> their highest score; worst first."""

    @classmethod
    def of(cls, verdict: Verdict) -> Outcome:
        """The outcome of a verdict."""
        highest: dict[str, float] = {}
        for finding in sorted(verdict.findings, key=lambda finding: -finding.score):
            highest.setdefault(finding.rule, finding.score)
        return cls(verdict.action, highest)


@dataclass(frozen=True, slots=True)
class Flip:
    """One text that is judged otherwise."""

    id: str
    """Of the row or decision."""
    part: str
    text: str
    """The text under judgement; empty where it was not kept."""
    old: Outcome
    new: Outcome

    @property
    def direction(self) -> Direction:
        """Whether the new verdict does more, or less."""
        change = _RANK[self.new.action] - _RANK[self.old.action]
        return "stricter" if change > 0 else "milder" if change < 0 else "other"

    @property
    def gained(self) -> tuple[str, ...]:
        """Rules that are found broken now and were not."""
        return tuple(rule for rule in self.new.rules if rule not in self.old.rules)

    @property
    def lost(self) -> tuple[str, ...]:
        """Rules that were found broken and are not."""
        return tuple(rule for rule in self.old.rules if rule not in self.new.rules)


Judged: TypeAlias = tuple[str, str, str, Outcome, Outcome]
"""Id, part, text, and the outcome under the old and under the new rules."""


def flips(judged: Iterable[Judged]) -> Iterator[Flip]:
    """Those that differ, in action or in the rules found broken; scores alone do not count."""
    for name, part, text, old, new in judged:
        if old.action is not new.action or set(old.rules) != set(new.rules):
            yield Flip(name, part, text, old, new)
