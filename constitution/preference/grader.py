"""The judge of one answer: asks a model whether it keeps a rule, with no other answer in sight and so without order.

Sources: Thoppilan et al. 2022, arXiv:2201.08239 (LaMDA rates each answer alone, by the probability of a word); Bradley
and Terry 1952 (the difference of two grades is the log-odds that one is the better).
"""

from __future__ import annotations

from constitution.calls import Caller
from constitution.preference.chooser import Asked, Chooser, Question, Seen, look_of
from constitution.preference.contest import Look
from constitution.preference.labels import chance, log_odds
from constitution.preference.options import yes_or_no
from constitution.preference.settings import Settings


class Grader:
    """Asks about answers. Holds no state between them but whether the model gives log-probabilities."""

    def __init__(self, caller: Caller, settings: Settings) -> None:
        self._chooser = Chooser(caller, settings)
        self._settings = settings

    async def grade(self, asked: Asked, at: int) -> Seen:
        """How likely the model says that an answer keeps the rule.

        Args:
            asked: the contest and the rule.
            at: place of the answer.

        Raises:
            BudgetSpent, StoreError: as Caller.ask.
            ModelError: the model could not answer, but for what is the texts' own doing.
        """
        wording, contest = asked.wording, asked.contest
        messages = wording.alone(
            contest.messages, contest.answers[at], asked.principle.question, reasons=self._settings.cot
        )
        options = yes_or_no(wording.words.yes, wording.words.no)
        return await self._chooser.choose(asked, Question(messages, wording.ask_yes, options, "grade"))

    def look(self, asked: Asked, one: Seen, other: Seen) -> Look:
        """The grades of two answers as one look at the pair."""
        grades = self._odds(one), self._odds(other)
        label = None if grades[0] is None or grades[1] is None else chance(grades[0] - grades[1])
        return look_of(asked, (one, other), label, self._settings, grades=grades)

    def _odds(self, seen: Seen) -> float | None:
        if seen.share is None:
            return None
        if seen.how == "votes":
            votes = self._settings.votes  # half a vote each is added: all of eight are no certainty
            return log_odds((seen.share * votes + 0.5) / (votes + 1))
        return log_odds(seen.share)
