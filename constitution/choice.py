"""Which rule a round is about: by the gate's evidence, at random as in Constitutional AI, or all in turn."""

from __future__ import annotations

import random
from collections.abc import Sequence
from enum import StrEnum

from guard.verdict import Verdict
from rules.schema import Constitution, Rule


class Choice(StrEnum):
    """How rules are chosen."""

    EVIDENCE = "evidence"
    """The rule that the gate finds broken; if it finds none in the first answer, the likeliest one."""
    RANDOM = "random"
    """One drawn a round, none twice in a row's life (Bai et al. 2022, arXiv:2212.08073, draw one of 16 a step)."""
    TURN = "turn"
    """All, in the order of the constitution."""


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
        if self.choice is Choice.EVIDENCE:
            found = next((rule for rule in answer.broken if rule not in asked), None)
            if found is not None:
                return self._rule(found)
            # A gate that finds nothing can be wrong, so its likeliest rule is asked in any case. Only one: asked about
            # rules further off, a small critic finds breaks that are none.
            return None if drawn else self._likeliest(prompt, answer)
        return next((rule for rule in self._order() if rule.id not in drawn), None)

    def _order(self, *, shuffled: bool = False) -> list[Rule]:
        order = list(self._rules)
        if shuffled or self.choice is Choice.RANDOM:
            random.Random(self._seed).shuffle(order)
        return order

    def _likeliest(self, prompt: Verdict, answer: Verdict) -> Rule:
        """The rule with the highest score for prompt or answer; now and then one that no detector looks for.

        A rule of principles alone has no score ever: it comes up as often as if rules were drawn at random.
        """
        order = self._order(shuffled=True)
        if order[0].id not in prompt.scores and order[0].id not in answer.scores:
            return order[0]
        return max(order, key=lambda rule: max(prompt.scores.get(rule.id, 0), answer.scores.get(rule.id, 0)))

    def _rule(self, rule_id: str) -> Rule:
        return next(rule for rule in self._rules if rule.id == rule_id)
