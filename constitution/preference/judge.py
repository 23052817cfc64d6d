"""The judge of two answers: asks a model about a pair under one principle, in both orders."""

from __future__ import annotations

from constitution.calls import Caller
from constitution.desk import together
from constitution.preference.chooser import Asked, Chooser, Question, Seen, look_of
from constitution.preference.contest import Contest, Look
from constitution.preference.labels import joined
from constitution.preference.letters import LETTERS
from constitution.preference.principles import Principle
from constitution.preference.settings import Settings
from constitution.preference.templates import Wording
from constitution.row import Call


class PairJudge:
    """Asks about pairs. Holds no state between them but whether the model gives log-probabilities."""

    def __init__(self, caller: Caller, settings: Settings) -> None:
        self._chooser = Chooser(caller, settings)
        self._settings = settings

    async def look(
        self,
        contest: Contest,
        pair: tuple[int, int],
        principle: Principle,
        wording: Wording,
        calls: list[Call],
    ) -> Look:
        """What the model says of a pair under one principle.

        Raises:
            BudgetSpent, StoreError: as Caller.ask.
            ModelError: the model could not answer, but for what is the texts' own doing.
        """
        one, other = (contest.answers[at] for at in pair)
        asked = Asked(contest, principle, wording, calls)
        first, second = await together(self._order(asked, (one, other)), self._order(asked, (other, one)))
        shown_second = None if second.share is None else 1 - second.share
        label = None
        if first.share is not None and shown_second is not None:
            label = joined(first.share, shown_second, self._settings.join)
        return look_of(asked, (first, second), label, self._settings, first=first.share, second=shown_second)

    async def _order(self, asked: Asked, answers: tuple[str, str]) -> Seen:
        wording = asked.wording
        messages = wording.messages(
            asked.contest.messages, answers, asked.principle.question, reasons=self._settings.cot
        )
        return await self._chooser.choose(asked, Question(messages, wording.ask_letter, LETTERS, "letter"))
