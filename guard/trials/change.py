"""New rules held against those in force: which tests and which contracts fail that did not before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from guard.trials.cases import cases_of
from guard.trials.contract import Breach, breaches
from guard.trials.look import Seen, look
from guard.trials.trial import Tally, Trial, try_rules
from rules.words import quoted

if TYPE_CHECKING:
    from guard.gate import Gate

Demand: TypeAlias = Literal["off", "report", "contract", "no_worse", "strict"]
"""What tests decide. `report`: nothing, they are counted; `contract`: every rule must keep its contract; `no_worse`: a
test that passes and a contract that is kept before must be so after; `strict`: all tests must pass and all contracts be
kept."""

_SHOWN = 5


@dataclass(frozen=True)
class Change:
    """How new rules fare with their own tests, beside the rules in force."""

    trial: Trial = field(default_factory=Trial)
    """Of the new rules, over their tests alone."""
    worse: tuple[Seen, ...] = ()
    """Tests that fail, and pass under the rules in force."""
    fresh: tuple[Seen, ...] = ()
    """Tests that fail, and that the rules in force have not."""
    breaches: tuple[Breach, ...] = ()
    """Contracts that the new rules do not keep."""
    new_breaches: tuple[Breach, ...] = ()
    """Those of them that the rules in force do not break likewise."""

    @property
    def run(self) -> int:
        """How many tests were run."""
        return len(self.trial.seen)

    @property
    def failing(self) -> tuple[Seen, ...]:
        """The tests that fail."""
        return self.trial.failing()

    def counted(self) -> str:
        """How many fail, for a person: what matters is what was not so before."""
        told = self._tests_counted()
        if not self.breaches:
            return told
        rules = named(breach.rule for breach in self.breaches)
        before = "" if self.new_breaches else ", as before"
        return f"{told}; {_count(len(self.breaches), 'clause')} of contracts not kept{before}: {rules}"

    def told(self) -> str:
        """The tests that are worse, for a person."""
        return _some([_worse(seen) for seen in self.worse])

    def against(self, demand: Demand, take_all_the_same: str) -> str:
        """What speaks against the new gate, for a person; empty where nothing does.

        Args:
            demand: what tests decide.
            take_all_the_same: how a person says that such a gate is to be taken nevertheless.
        """
        if demand == "no_worse" and self.worse:
            return f"{self.told()}\n  hint: mend the rule, or drop the test; {take_all_the_same}"
        if demand == "strict" and self.failing:
            rules = ", ".join(dict.fromkeys(f"`{test.case.rule}`" for test in self.failing))
            what = f"{len(self.failing)} of {self.run} tests fail, of the rules {rules}"
            return f"{what}\n  hint: mend the rules, or drop the tests"
        # A contract that the rules in force break too must not hold up the mending of another rule.
        broken = self.new_breaches if demand == "no_worse" else self.breaches
        if demand in ("contract", "no_worse", "strict") and broken:
            hint = f"`wardlaw rules test` says which examples to add; {take_all_the_same}"
            return f"{self.breaches_told(new=demand == 'no_worse')}\n  hint: {hint}"
        return ""

    def breaches_told(self, *, new: bool) -> str:
        """The contracts that are not kept, for a person, with what to do. Args: new: only those that were kept."""
        return _some([f"{each}" for each in (self.new_breaches if new else self.breaches)])

    def _tests_counted(self) -> str:
        failing = self.failing
        if not failing:
            return f"all {self.run} tests pass" if self.run else "no tests were run"
        told = f"{len(failing)} of {self.run} tests fail"
        new = [*self.worse, *self.fresh]
        if not new:
            return f"{told}, as before"
        return f"{told}, {len(new)} of them not before: {named(seen.case.rule for seen in new)}"


def compare(gate: Gate, now: Gate | None = None) -> Change:
    """Run the tests of a gate's rules, and hold their contracts against them. Blocks while models run.

    Args:
        gate: the new one.
        now: the one in force; only what fails under the new one is run through it.
    """
    trial = try_rules(gate, origins=("tests",), explain=False)
    broken = breaches(gate.constitution, trial.by_rule)
    failing = trial.failing()
    if now is None or not (failing or broken):
        return Change(trial, breaches=broken, new_breaches=broken)
    rules = {seen.case.rule for seen in failing} | {breach.rule for breach in broken}
    known = {case.key: case for case in cases_of(now.constitution, ("tests",), rules)}
    wanted = {seen.case.key for seen in failing} | {
        key for key in known if key[0] in {breach.rule for breach in broken}
    }
    before = {seen.case.key: seen for seen in look(now, [known[key] for key in known if key in wanted], explain=False)}
    there = [seen for seen in failing if seen.case.key in known]
    return Change(
        trial,
        worse=tuple(seen for seen in there if before[seen.case.key].passed),
        fresh=tuple(seen for seen in failing if seen.case.key not in known),
        breaches=broken,
        new_breaches=tuple(_new(broken, now, before.values())),
    )


def named(ids: Iterable[str]) -> str:
    """The first few of some ids, each once."""
    each = list(dict.fromkeys(ids))
    more = f" and {len(each) - _SHOWN} more" if len(each) > _SHOWN else ""
    return ", ".join(f"`{name}`" for name in each[:_SHOWN]) + more


def _new(broken: Sequence[Breach], now: Gate, seen: Iterable[Seen]) -> Iterator[Breach]:
    """Breaches that the rules in force do not have: by the contract that they have there."""
    by_rule: dict[str, list[Seen]] = {}
    for each in seen:
        by_rule.setdefault(each.case.rule, []).append(each)
    rules = {breach.rule for breach in broken}
    tallies = {rule: Tally(tuple(some)) for rule, some in by_rule.items()}
    old = {breach.key for breach in breaches(now.constitution, tallies, only=rules)}
    yield from (breach for breach in broken if breach.key not in old)


def _worse(seen: Seen) -> str:
    what = "finds" if seen.case.kind == "breaks" else "lets pass"
    return f"rule `{seen.case.rule}` no longer {what} its test {quoted(seen.case.text)}"


def _some(told: Sequence[str]) -> str:
    more = f"; and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
    return "; ".join(told[:_SHOWN]) + more


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
