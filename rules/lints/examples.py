"""Lints of what a rule is taught and tested by: is there enough of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rules.lints import Found, lint
from rules.schema import Rule
from rules.words import listed

if TYPE_CHECKING:
    from rules.check import Company

ENOUGH = 3
"""Examples on each side below which a head or a prototype is drawn from too little."""

ADVISED = 6
"""Examples on each side to write: with three, near misses that the rule itself names are still flagged."""

_SIDES = {
    "breaks": ("example that breaks it", "examples that break it"),
    "keeps": ("near miss that keeps it", "near misses that keep it"),
}


@lint("warning")
def no_examples(rule: Rule, _: Company) -> Iterator[Found]:
    """The meaning detector is on, and there is no example for it to learn from."""
    if rule.detect and rule.detect.meaning and not (rule.examples.breaks or rule.examples.keeps):
        hint = f"write {ADVISED} prompts or more under `breaks` and under `keeps`, or say `meaning: null`"
        yield ("examples",), "has no `examples`, so its meaning cannot be learnt", hint


@lint("warning")
def few_examples(rule: Rule, _: Company) -> Iterator[Found]:
    """There are examples, but fewer than three of a side."""
    sides = {"breaks": rule.examples.breaks, "keeps": rule.examples.keeps}
    if any(sides.values()):
        for side, examples in sides.items():
            if len(examples) < ENOUGH:
                one, many = _SIDES[side]
                count = f"1 {one}" if len(examples) == 1 else f"{len(examples) or 'no'} {many}"
                yield ("examples", side), f"has {count}", f"write {ADVISED} or more under `{side}`"


@lint("warning")
def no_tests(rule: Rule, _: Company) -> Iterator[Found]:
    """A gate is asked to find the rule broken, and nothing says whether it does."""
    if rule.detect:
        missing = [side for side, tests in (("breaks", rule.tests.breaks), ("keeps", rule.tests.keeps)) if not tests]
        if missing:
            what = f"has no `tests` under {listed(missing)}"
            yield ("tests",), what, "write two or three that no example resembles: they never teach"
