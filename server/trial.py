"""The rules' own tests, run through a gate that is to come into force, and held against the one that is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from guard.exchange import Exchange
from rules.words import quoted

if TYPE_CHECKING:
    from guard.gate import Gate
    from rules.examples import Example
    from rules.schema import Constitution

_AT_ONCE = 8
"""Texts a batch: live requests that come meanwhile wait for a few texts, not for all."""
_SHOWN = 5

Kind: TypeAlias = Literal["breaks", "keeps"]


@dataclass(frozen=True, slots=True)
class Test:
    """One test of one rule."""

    rule: str
    kind: Kind
    example: Example

    def __str__(self) -> str:
        what = "finds" if self.kind == "breaks" else "lets pass"
        return f"rule `{self.rule}` no longer {what} its test {quoted(self.example.text)}"

    @property
    def key(self) -> tuple[str, str, object]:
        """What makes it the same test in another constitution: a note beside it does not count."""
        return self.rule, self.kind, self.example.messages


@dataclass(frozen=True, slots=True)
class Trial:
    """How a constitution fares with its own tests."""

    run: int = 0
    failing: tuple[Test, ...] = ()
    worse: tuple[Test, ...] = ()
    """Those that fail, and pass under the constitution in force."""
    fresh: tuple[Test, ...] = ()
    """Those that fail, and that the constitution in force has not."""

    def counted(self) -> str:
        """How many fail, for a person: what matters is what was not so before."""
        if not self.failing:
            return f"all {self.run} tests pass" if self.run else "no tests were run"
        told = f"{len(self.failing)} of {self.run} tests fail"
        new = [*self.worse, *self.fresh]
        if not new:
            return f"{told}, as before"
        return f"{told}, {len(new)} of them not before: {named([test.rule for test in new])}"

    def told(self) -> str:
        """The tests that are worse, for a person."""
        told = [str(test) for test in self.worse[:_SHOWN]]
        more = len(self.worse) - len(told)
        return "; ".join(told) + (f"; and {more} more" if more else "")


def tests_of(constitution: Constitution) -> Iterator[Test]:
    """All tests of all rules that the gate looks for."""
    for rule in constitution:
        if rule.detect is not None:
            yield from (Test(rule.id, "breaks", example) for example in rule.tests.breaks)
            yield from (Test(rule.id, "keeps", example) for example in rule.tests.keeps)


def try_out(gate: Gate, now: Gate | None = None) -> Trial:
    """Run the tests of a gate's constitution. Blocks while models run.

    Args:
        gate: the new one.
        now: the one in force; only the tests that fail under the new one are run through it.
    """
    tests = list(tests_of(gate.constitution))
    failing = _failing(gate, tests)
    worse: tuple[Test, ...] = ()
    fresh: tuple[Test, ...] = ()
    if now is not None and failing:
        known = {test.key for test in tests_of(now.constitution)}
        there = [test for test in failing if test.key in known]
        fail_now = {test.key for test in _failing(now, there)}
        worse = tuple(test for test in there if test.key not in fail_now)
        fresh = tuple(test for test in failing if test.key not in known)
    return Trial(len(tests), tuple(failing), worse, fresh)


def named(ids: Iterable[str]) -> str:
    """The first few of some ids, each once."""
    each = list(dict.fromkeys(ids))
    more = f" and {len(each) - _SHOWN} more" if len(each) > _SHOWN else ""
    return ", ".join(f"`{name}`" for name in each[:_SHOWN]) + more


def _failing(gate: Gate, tests: Sequence[Test]) -> list[Test]:
    failing = []
    for start in range(0, len(tests), _AT_ONCE):
        some = tests[start : start + _AT_ONCE]
        verdicts = gate.judge_many([Exchange.of_example(test.example) for test in some])
        for test, verdict in zip(some, verdicts, strict=True):
            # What a detector could not look at counts as not found: a test must not pass by a fault.
            if (test.rule in verdict.broken) != (test.kind == "breaks"):
                failing.append(test)
    return failing
