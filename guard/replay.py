"""The same exchanges through two gates: what the one judges otherwise than the other, and how often.

An exchange is given to the new gate only where its verdict can differ from the old one's; where that cannot be ruled
out, both judge it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeAlias

from guard.detectors.base import parts
from guard.exchange import Exchange
from guard.flips import Direction, Flip, Judged, Outcome, flips
from guard.gate import BATCH_LIMIT, Gate
from guard.training.metrics import Interval, share
from rules.diff import diff
from rules.schema import Action, Part, Rule

Kind: TypeAlias = str
"""`stricter`, `milder`, `gained`, `lost`."""
KINDS: tuple[Kind, ...] = ("stricter", "milder", "gained", "lost")

_BY_EXAMPLE = ("examples", "words")
"""How coverage ends the name of a detector that judges a rule by what the constitution's own texts teach it. Those
rules share one axis, so that a text of one moves the scores of all."""


@dataclass(slots=True)
class Tally:
    """What a replay came to so far."""

    rows: int = 0
    judged_twice: int = 0
    """Rows that both gates had to judge; of the others it was certain that nothing differs."""
    degraded: int = 0
    """Rows in which a detector of either gate failed."""
    directions: Counter[Direction] = field(default_factory=Counter)
    """Flips by direction."""
    by_rule: dict[str, Counter[Kind]] = field(default_factory=dict)
    """Rule -> flips in which it is found broken now and was not (`gained`), or the other way round (`lost`), and those
    `stricter` (`milder`) in which it is found broken by the new (old) rules."""
    old: Counter[Action] = field(default_factory=Counter)
    """Action under the old rules -> rows."""
    new: Counter[Action] = field(default_factory=Counter)

    @property
    def flips(self) -> int:
        """Rows that are judged otherwise."""
        return self.directions.total()

    def add(self, judged: Judged) -> Flip | None:
        """Count one row; the flip that it is, if it is one."""
        *_, old, new = judged
        self.rows += 1
        self.old[old.action] += 1
        self.new[new.action] += 1
        flip = next(flips([judged]), None)
        if flip is None:
            return None
        self.directions[flip.direction] += 1
        for rule in flip.gained:
            self._of(rule)["gained"] += 1
        for rule in flip.lost:
            self._of(rule)["lost"] += 1
        if flip.direction != "other":
            for rule in (new if flip.direction == "stricter" else old).rules:
                self._of(rule)[flip.direction] += 1
        return flip

    def rate(self, direction: Direction | None = None) -> Interval | None:
        """The share of the rows that flip, all or in one direction; None where there are no rows."""
        return share(self.flips if direction is None else self.directions[direction], self.rows)

    def rule_rate(self, rule: str, kind: Kind) -> Interval | None:
        """The share of the rows that flip so for a rule."""
        return share(self.by_rule.get(rule, Counter())[kind], self.rows)

    def action_rates(self) -> dict[Action, tuple[Interval | None, Interval | None]]:
        """Action -> its share of the rows under the old and under the new rules, mildest first; those that came up."""
        seen = [action for action in Action if self.old[action] or self.new[action]]
        return {action: (share(self.old[action], self.rows), share(self.new[action], self.rows)) for action in seen}

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON; each share as `value`, `low`, `high`."""
        return {
            "rows": self.rows,
            "judged_twice": self.judged_twice,
            "degraded": self.degraded,
            "flips": self.flips,
            "rate": _interval(self.rate()),
            "directions": {
                name: {"count": self.directions[name], **(_interval(self.rate(name)) or {})}
                for name in ("stricter", "milder", "other")
            },
            "by_rule": {
                rule: {kind: {"count": counts[kind], **(_interval(self.rule_rate(rule, kind)) or {})} for kind in KINDS}
                for rule, counts in self.ranked()
            },
            "actions": {
                str(action): {"old": _interval(old), "new": _interval(new)}
                for action, (old, new) in self.action_rates().items()
            },
        }

    def ranked(self) -> list[tuple[str, Counter[Kind]]]:
        """The rules that flips are about, those with most of them first."""
        return sorted(self.by_rule.items(), key=lambda item: (-item[1]["gained"] - item[1]["lost"], item[0]))

    def _of(self, rule: str) -> Counter[Kind]:
        return self.by_rule.setdefault(rule, Counter())


class Replay:
    """Judges exchanges by two gates. The gates stay their owner's to close."""

    def __init__(self, old: Gate, new: Gate) -> None:
        """Args: old, new: what judged before, and what is to judge."""
        self._old, self._new = old, new
        self._same = _Same(old, new)
        self.tally = Tally()

    def judge(
        self, exchanges: Iterable[tuple[str, Exchange]], progress: Callable[[int], object] = lambda _: None
    ) -> Iterator[Judged]:
        """Judge each exchange under both rules, in batches; no more than one batch is held.

        Args:
            exchanges: each with its id, in any number.
            progress: called with the number of rows judged since the last call.

        Yields:
            id, part, text and the two outcomes of each, in order. The caller counts them by `tally.add`.
        """
        waiting = iter(exchanges)
        while batch := list(islice(waiting, BATCH_LIMIT)):
            before = self._old.judge_many([exchange for _, exchange in batch])
            again = [place for place, (_, exchange) in enumerate(batch) if not self._same(exchange)]
            after = list(before)
            for place, verdict in zip(
                again, self._new.judge_many([batch[place][1] for place in again]) if again else (), strict=True
            ):
                after[place] = verdict
            self.tally.judged_twice += len(again)
            for (name, exchange), was, now in zip(batch, before, after, strict=True):
                self.tally.degraded += bool(was.coverage.degraded or now.coverage.degraded)
                yield name, str(exchange.part), exchange.text, Outcome.of(was), Outcome.of(now)
            progress(len(batch))


class _Same:
    """Whether two gates must judge an exchange alike, told from its parts alone."""

    def __init__(self, old: Gate, new: Gate) -> None:
        self._gates = (old, new)
        self._changed = _touched(old, new)
        self._alike = [each.identity for each in old.detectors] == [each.identity for each in new.detectors]
        self._known: dict[frozenset[Part], bool] = {}

    def __call__(self, exchange: Exchange) -> bool:
        under = frozenset(part for part, _ in parts(exchange))
        if under not in self._known:
            self._known[under] = self._alike and not any(self._reaches(part) for part in under)
        return self._known[under]

    def _reaches(self, part: Part) -> bool:
        """Whether a changed rule can have a say in this part, by itself or by what it teaches about others."""
        if any(part in rule.watches for rule in self._changed):
            return True
        return bool(self._changed) and any(
            detector.covers(rule, part).by.rpartition(":")[2] in _BY_EXAMPLE
            for gate in self._gates
            for detector in gate.detectors
            for rule in gate.constitution
        )


def _touched(old: Gate, new: Gate) -> list[Rule]:
    """The rules, of either gate, that a change was made to which can reach a verdict."""
    changed = diff(old.constitution, new.constitution)
    ids = {each.rule for each in changed.rules if each.effect == "verdict" or any(c.asked for c in each.changes)}
    return [rule for gate in (old, new) for rule in gate.constitution if rule.id in ids]


def _interval(found: Interval | None) -> dict[str, float] | None:
    if found is None:
        return None
    return {"value": round(found.value, 6), "low": round(found.low, 6), "high": round(found.high, 6)}


__all__ = ["KINDS", "Replay", "Tally"]
