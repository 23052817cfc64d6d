"""Asks a model which of two options holds: by log-probabilities where it gives them, by votes where it does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from constitution.calls import Caller
from constitution.desk import seed_of, together
from constitution.preference.contest import Contest, Look
from constitution.preference.labels import scaled
from constitution.preference.options import TOKENS, Options
from constitution.preference.principles import Principle
from constitution.preference.settings import Settings
from constitution.preference.templates import Wording
from constitution.row import Call
from guard.exchange import Message
from guard.judging.answers import TOP
from guard.models.base import ContentRefused, ContextTooLong, Reply, Sampling

_ANSWER = Sampling(0.0, max_tokens=TOKENS)
_VOTE = Sampling(1.0, max_tokens=TOKENS)
_LEAST_READ = 0.5
"""The part of the votes that must say an option."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a model chose."""

    share: float | None
    """Probability of the first option; None where the reply could not be read."""
    how: Literal["logprobs", "votes"] = "logprobs"
    why: str = ""
    """Why it could not: `unreadable`, `too_long`, `withheld`."""
    reasons: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a question is about."""

    contest: Contest
    principle: Principle
    wording: Wording
    calls: list[Call]
    """Where the cost of each call is added."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question with two options."""

    messages: tuple[Message, ...]
    then: str
    """What is said after the reasons, where reasons are asked for first."""
    options: Options
    stage: str
    """What the call is called in the records, as `letter`."""


class Chooser:
    """Asks. Holds no state between questions but whether the model gives log-probabilities."""

    def __init__(self, caller: Caller, settings: Settings) -> None:
        self._caller = caller
        self._settings = settings
        self._mute = False
        """The model was seen to give no log-probabilities: it is not asked for them again."""

    async def choose(self, asked: Asked, question: Question) -> Seen:
        """What the model chooses; with `--cot` after it has reasoned.

        Raises:
            BudgetSpent, StoreError: as Caller.ask.
            ModelError: the model could not answer, but for what is the texts' own doing.
        """
        try:
            messages, reasons = question.messages, ""
            if self._settings.cot:
                sampling = Sampling(0.0, max_tokens=self._settings.cot_tokens)
                reasons = (await self._ask(asked, "reasons", messages, 0, sampling)).text.strip()
                if not reasons:
                    return Seen(None, why="unreadable")
                messages = (*messages, Message("assistant", reasons), Message("user", question.then))
            return await self._option(asked, question, messages, reasons)
        except ContextTooLong:
            return Seen(None, why="too_long")
        except ContentRefused:
            return Seen(None, why="withheld")

    async def _option(self, asked: Asked, question: Question, messages: tuple[Message, ...], reasons: str) -> Seen:
        if not self._mute:
            reply = await self._ask(asked, question.stage, messages, 0, _ANSWER, logprobs=TOP)
            if reply.logprobs:
                found = question.options.share(reply)
                return Seen(found, why="" if found is not None else "unreadable", reasons=reasons)
            self._mute = True
        votes = await together(
            *(
                self._ask(asked, "vote", messages, seed_of(self._settings.seed, "vote", number), _VOTE)
                for number in range(self._settings.votes)
            )
        )
        said = [first for reply in votes if (first := question.options.first(reply.text)) is not None]
        if len(said) < _LEAST_READ * len(votes):
            return Seen(None, "votes", "unreadable", reasons)
        return Seen(said.count(True) / len(said), "votes", reasons=reasons)

    async def _ask(
        self,
        asked: Asked,
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


def look_of(
    asked: Asked,
    seen: tuple[Seen, Seen],
    label: float | None,
    settings: Settings,
    **more: float | tuple[float | None, float | None] | None,
) -> Look:
    """What was chosen twice as one look at a pair.

    Args:
        asked: what about.
        seen: both orders, or both answers.
        label: what the two come to, before it is scaled and kept between the bounds.
        settings: they say by what and between which.
        more: the probabilities or grades themselves.
    """
    if label is not None:
        low, high = settings.bounds
        label = min(max(scaled(label, settings.scale), low), high)
    return Look.model_validate(
        {
            "rule": asked.principle.rule,
            "made": asked.principle.made,
            "how": "votes" if "votes" in (seen[0].how, seen[1].how) else "logprobs",
            "label": label,
            "why": seen[0].why or seen[1].why,
            "reasons": (seen[0].reasons, seen[1].reasons) if settings.cot else (),
            **more,
        }
    )
