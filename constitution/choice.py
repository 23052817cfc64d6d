"""Which rule a round is about: by the gate's evidence, at random as in Constitutional AI, or all in turn."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum

from guard.verdict import Verdict
from rules.schema import Constitution, Rule

_CERTAIN = 1.0
"""The score of a pattern's hit."""


class Choice(StrEnum):
    """How rules are chosen."""

    EVIDENCE = "evidence"
    """First the rule that prompt and answer are about, then those that the gate still finds broken."""
    NEAREST = "nearest"
    """As evidence, and where the gate finds no more, the rules that prompt and answer are about, the nearest first."""
    RANDOM = "random"
    """One drawn a round, none twice in a row's life (Bai et al. 2022, arXiv:2212.08073, draw one of 16 a step)."""
    TURN = "turn"
    """All, in the order of the constitution."""


_ROUNDS: Mapping[Choice, int] = {Choice.EVIDENCE: 2, Choice.NEAREST: 3, Choice.RANDOM: 2}


def default_rounds(choice: Choice, rules: int) -> int:
    """Most rounds where nobody says how many, for a constitution of so many rules."""
    return rules if choice is Choice.TURN else _ROUNDS[choice]


class Chooser:
    """Chooses the rules of one row."""

    def __init__(self, constitution: Constitution, choice: Choice, seed: int) -> None:
        self.choice = choice
        self._rules = constitution.rules
        self._seed = seed

    def choose(self, prompt: Verdict, answer: Verdict, drawn: Sequence[str], asked: Sequence[str]) -> Rule | None:
        """The rule for the next round, or None where there is nothing more to ask.

        Args:
            prompt: the gate's verdict on the prompt.
            answer: its verdict on the answer as it stands.
            drawn: ids of the rules of all rounds so far.
            asked: ids of those asked of the answer as it stands; a revision empties it.
        """
        if self.choice in (Choice.RANDOM, Choice.TURN):
            return next((rule for rule in self._order() if rule.id not in drawn), None)
        found = [self._rule(rule) for rule in answer.broken if rule not in asked]
        if not drawn:
            return self._first(prompt, answer, found)
        if found:
            return found[0]
        if self.choice is Choice.EVIDENCE:
            return None
        rest = [rule for rule in self._order(shuffled=True) if rule.id not in drawn]
        return max(rest, key=self._nearness(prompt, answer), default=None)

    def _first(self, prompt: Verdict, answer: Verdict, found: Sequence[Rule]) -> Rule:
        """The rule of the first round. One is asked in any case, since a gate that finds nothing can be wrong; by
        evidence only one, since a small critic that is asked about rules further off finds breaks that are none.

        What a pattern found is certain. Else it is the rule that prompt and answer are about: the gate knows the topic
        better than which rule is broken. A rule that no detector looks for, one of principles alone, comes up as often
        as if rules were drawn at random.
        """
        for rule in found:
            if answer.scores.get(rule.id, 0.0) >= _CERTAIN:
                return rule
        told = prompt.topics or answer.topics
        if found and not told:
            return found[0]
        order = self._order(shuffled=True)
        if not any(order[0].id in known for known in (prompt.scores, answer.scores)):
            return order[0]
        return max(order, key=self._nearness(prompt, answer))

    @staticmethod
    def _nearness(prompt: Verdict, answer: Verdict) -> Callable[[Rule], float]:
        """How much prompt and answer are about a rule; without topics, how likely it is broken by either."""
        if prompt.topics or answer.topics:
            return lambda rule: prompt.topics.get(rule.id, -1.0) + answer.topics.get(rule.id, -1.0)
        return lambda rule: max(prompt.scores.get(rule.id, 0.0), answer.scores.get(rule.id, 0.0))

    def _order(self, *, shuffled: bool = False) -> list[Rule]:
        order = list(self._rules)
        if shuffled or self.choice is Choice.RANDOM:
            random.Random(self._seed).shuffle(order)
        return order

    def _rule(self, rule_id: str) -> Rule:
        return next(rule for rule in self._rules if rule.id == rule_id)
