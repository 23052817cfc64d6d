"""The examples and tests of a rule, as lints look at them."""

from __future__ import annotations

from collections.abc import Iterator

from rules.schema import Example, Rule


def everything(rule: Rule) -> Iterator[tuple[tuple[str | int, ...], Example]]:
    """Every example and test of a rule, with its path."""
    for name, group in (("examples", rule.examples), ("tests", rule.tests)):
        for side, examples in (("breaks", group.breaks), ("keeps", group.keeps)):
            for index, example in enumerate(examples):
                yield (name, side, index), example


def said(example: Example) -> tuple[tuple[str, str], ...]:
    """What an example says, letter case and spacing aside."""
    return tuple((turn.role, " ".join(turn.content.casefold().split())) for turn in example.messages)
