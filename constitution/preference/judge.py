"""The judge of two answers: asks a model about a pair under one principle, in both orders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from constitution.calls import Caller
from constitution.desk import seed_of, together
from constitution.preference.contest import Contest, Look
from constitution.preference.letters import LETTER_TOKENS, joined, letter_of, letter_share
from constitution.preference.principles import Principle
from constitution.preference.settings import Settings
from constitution.preference.templates import Wording
from constitution.row import Call
from guard.exchange import Message
from guard.judging.answers import TOP
from guard.models.base import ContentRefused, ContextTooLong, Reply, Sampling

_LETTER = Sampling(0.0, max_tokens=LETTER_TOKENS)
_VOTE = Sampling(1.0, max_tokens=LETTER_TOKENS)
_LEAST_READ = 0.5
"""The part of the votes that must say a letter."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One pair in one order under one principle."""

    share: float | None
    """Probability of the one shown as A."""
    how: Literal["logprobs", "votes"] = "logprobs"
    why: str = ""
    reasons: str = ""


class PairJudge:
    """Asks about pairs. Holds no state between them but whether the model gives log-probabilities."""

    def __init__(self, caller: Caller, settings: Settings) -> None:
        self._caller = caller
        self._settings = settings
        self._mute = False
        """The model was seen to give no log-probabilities: it is not asked for them again."""

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
        asked = _Asked(contest, principle, wording, calls)
        first, second = await together(self._order(asked, (one, other)), self._order(asked, (other, one)))
        shown_second = None if second.share is None else 1 - second.share
        label = None
        if first.share is not None and shown_second is not None:
            low, high = self._settings.bounds
            label = min(max(joined(first.share, shown_second, self._settings.join), low), high)
        return Look(
            rule=principle.rule,
            made=principle.made,
            how="votes" if "votes" in (first.how, second.how) else "logprobs",
            first=first.share,
            second=shown_second,
            label=label,
            why=first.why or second.why,
            reasons=(first.reasons, second.reasons) if self._settings.cot else (),
        )

    async def _order(self, asked: _Asked, answers: tuple[str, str]) -> Seen:
        cot = self._settings.cot
        messages = asked.wording.messages(asked.contest.messages, answers, asked.principle.question, reasons=cot)
        try:
            reasons = ""
            if cot:
                sampling = Sampling(0.0, max_tokens=self._settings.cot_tokens)
                reply = await self._ask(asked, "reasons", messages, 0, sampling)
                reasons = reply.text.strip()
                if not reasons:
                    return Seen(None, why="unreadable")
                messages = (*messages, Message("assistant", reasons), Message("user", asked.wording.ask_letter))
            return await self._letter(asked, messages, reasons)
        except ContextTooLong:
            return Seen(None, why="too_long")
        except ContentRefused:
            return Seen(None, why="withheld")

    async def _letter(self, asked: _Asked, messages: tuple[Message, ...], reasons: str) -> Seen:
        if not self._mute:
            reply = await self._ask(asked, "letter", messages, 0, _LETTER, logprobs=TOP)
            if reply.logprobs:
                found = letter_share(reply)
                return Seen(found, why="" if found is not None else "unreadable", reasons=reasons)
            self._mute = True
        votes = await together(
            *(
                self._ask(asked, "vote", messages, seed_of(self._settings.seed, "vote", number), _VOTE)
                for number in range(self._settings.votes)
            )
        )
        letters = [letter for reply in votes if (letter := letter_of(reply.text)) is not None]
        if len(letters) < _LEAST_READ * len(votes):
            return Seen(None, "votes", "unreadable", reasons)
        return Seen(letters.count("A") / len(letters), "votes", reasons=reasons)

    async def _ask(
        self,
        asked: _Asked,
        stage: str,
        messages: tuple[Message, ...],
        seed: int,
        sampling: Sampling,
        *,
        logprobs: int = 0,
    ) -> Reply:
        return await self._caller.ask(
            "judge",
            stage,
            messages,
            row=asked.contest.id,
            seed=seed,
            calls=asked.calls,
            sampling=sampling,
            logprobs=logprobs,
        )


@dataclass(frozen=True, slots=True)
class _Asked:
    contest: Contest
    principle: Principle
    wording: Wording
    calls: list[Call]
