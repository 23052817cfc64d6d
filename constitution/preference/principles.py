"""Choice principles: the questions of the rules by which the better of two answers is told."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from constitution.desk import seed_of
from constitution.preference.templates import Wording
from rules.schema import Constitution, Rule


@dataclass(frozen=True, slots=True)
class Principle:
    """What is asked."""

    rule: str
    """Id of the rule."""
    question: str
    """Of a pair; the rule's text where an answer is graded alone."""
    made: bool
    """Whether it was made from the rule's text."""


def principle_of(rule: Rule, wording: Wording) -> Principle:
    """The rule's `choice` in the wording's language, or a question made from the rule's text."""
    if rule.choice is not None:
        return Principle(rule.id, rule.choice.say(wording.language), made=False)
    return Principle(rule.id, wording.made_question(rule.rule.say(wording.language)), made=True)


def text_of(rule: Rule, wording: Wording) -> Principle:
    """The rule itself, by which an answer is graded alone: a `choice` asks about two."""
    return Principle(rule.id, rule.rule.say(wording.language), made=False)


def drawn(constitution: Constitution, count: int, *seeds: int | str) -> tuple[Rule, ...]:
    """`count` different rules, or all where there are fewer; the same ones for the same seeds.

    The first of many are those of fewer: who asks for more is asked only about what is new.
    """
    rules: Sequence[Rule] = constitution.rules
    order = random.Random(seed_of(*seeds)).sample(range(len(rules)), len(rules))
    return tuple(rules[at] for at in order[:count])


def without_choice(constitution: Constitution) -> list[str]:
    """Ids of the rules that have no `choice`."""
    return [rule.id for rule in constitution if rule.choice is None]
