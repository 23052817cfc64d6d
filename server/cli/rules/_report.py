"""What `wardlaw rules diff` found, before it is put in words."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from guard.flips import Flip, Judged, Outcome
from rules.diff import Diff
from rules.schema import Action

if TYPE_CHECKING:
    from constitution.dependents import Dependence
    from guard.replay import Tally
    from server.cli.rules._traffic import Passed

Failing: TypeAlias = Literal["changes", "flips", "stricter", "milder"]

_RANK = {action: rank for rank, action in enumerate(Action)}


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of a replay."""

    source: str
    """The file, or `audit`."""
    tally: Tally
    worst: tuple[Flip, ...]
    """The gravest flips, as many as were asked for."""
    passed: Passed

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return {
            "source": self.source,
            **self.tally.as_dict(),
            "not_replayed": self.passed.as_dict(),
            "worst": [_flip(flip) for flip in self.worst],
        }


@dataclass(frozen=True, slots=True)
class Report:
    """All that is told."""

    old: str
    new: str
    """What was compared, as it was given."""
    diff: Diff
    stale_heads: tuple[str, ...] = ()
    """Rules that are taught otherwise now: a head trained before knows the old words."""
    replayed: Replayed | None = None
    data: Dependence | None = None
    folder: str = ""
    """Where the rows of `data` are."""
    first: bool = False
    """Whether there were no rules before."""

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        told: dict[str, Any] = {"from": self.old, "to": self.new, **self.diff.as_dict()}
        told["first"] = self.first
        told["taught_otherwise"] = list(self.stale_heads)
        if self.replayed is not None:
            told["replay"] = self.replayed.as_dict()
        if self.data is not None:
            told["data"] = {
                "folder": self.folder,
                "rows": self.data.rows,
                "stale": self.data.stale,
                "stale_accepted": self.data.accepted,
                "calls": self.data.calls,
                "rules": dict(self.data.rules.most_common()),
            }
        return told

    def fails(self, on: Iterable[Failing]) -> bool:
        """Whether anything happened that the command is to fail on."""
        tally = None if self.replayed is None else self.replayed.tally
        happened = {
            "changes": bool(self.diff),
            "flips": tally is not None and tally.flips > 0,
            "stricter": tally is not None and tally.directions["stricter"] > 0,
            "milder": tally is not None and tally.directions["milder"] > 0,
        }
        return any(happened[each] for each in on)


@dataclass(slots=True)
class Worst:
    """Keeps the gravest flips of a stream: those whose action changes most, then milder before stricter, then by how
    sure the gate was."""

    most: int
    _kept: list[tuple[tuple[float, ...], int, Flip]] = field(default_factory=list)
    _seen: int = 0

    def add(self, flip: Flip) -> None:
        """Consider one."""
        self._seen += 1
        # The earlier of two that are alike stays.
        entry = (_gravity(flip), -self._seen, flip)
        if len(self._kept) < self.most:
            heapq.heappush(self._kept, entry)
        elif self._kept and entry[:2] > self._kept[0][:2]:
            heapq.heapreplace(self._kept, entry)

    def ranked(self) -> tuple[Flip, ...]:
        """The gravest first."""
        return tuple(flip for _, _, flip in sorted(self._kept, key=lambda entry: entry[:2], reverse=True))


def counted_in(judged: Iterable[Judged], tally: Tally, worst: Worst) -> None:
    """Count what was judged, to the end."""
    for each in judged:
        flip = tally.add(each)
        if flip is not None:
            worst.add(flip)


def _gravity(flip: Flip) -> tuple[float, ...]:
    step = _RANK[flip.new.action] - _RANK[flip.old.action]
    changed = [
        outcome.rules[rule] for outcome, rules in ((flip.new, flip.gained), (flip.old, flip.lost)) for rule in rules
    ]
    return (abs(step), float(step < 0), max(changed, default=0.0))


def _flip(flip: Flip) -> dict[str, Any]:
    return {
        "id": flip.id,
        "part": flip.part,
        "text": flip.text,
        "direction": flip.direction,
        "old": _outcome(flip.old),
        "new": _outcome(flip.new),
        "gained": list(flip.gained),
        "lost": list(flip.lost),
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "action": str(outcome.action),
        "rules": {rule: round(score, 4) for rule, score in outcome.rules.items()},
    }
