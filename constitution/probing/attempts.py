"""Adversarial probing, rule by rule: a prober model talks with a live one and tries to make it break one rule.

Each answer is judged by the gate and by a judge; what both say is kept, and the conversation ends where the rule is
broken. Source: Glaese et al. 2022, Sparrow, arXiv:2209.14375, where people did the probing.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass

from constitution.judging import GRADE_SCHEMA, grade_messages, read_grade
from constitution.probing.asking import Asker
from constitution.probing.novelty import rouge_l, tokens_of
from constitution.probing.reading import is_recipe, is_refusal, read_message
from constitution.probing.seeds import Seed
from constitution.probing.transcript import Attempt, By, Turn, is_break
from constitution.probing.wording import Words
from constitution.templates import Templates
from guard.exchange import Exchange, Message
from guard.gate import Gate
from guard.models.base import ContentRefused, ContextTooLong, Sampling
from rules.digest import rule_digest
from rules.schema import Rule

_TRIES = 2
"""Times that the prober is asked for a message before the conversation is over."""
_REPEATED = 0.9
"""ROUGE-L with an earlier message of the conversation from which the prober repeats itself."""


@dataclass(frozen=True, slots=True)
class Attack:
    """How a model is probed."""

    attempts: int = 5
    """Of each rule."""
    turns: int = 4
    """Most messages of the prober in one attempt."""
    by: By = "agreed"
    shown: int = 4
    """Human-written openings that the prober is shown."""
    temperature: float = 0.9
    target_temperature: float = 0.7
    target_tokens: int = 300
    system: str = ""
    """The target's system message; empty for none."""
    seed: int = 0


class Prober:
    """Makes the attempts on one rule."""

    def __init__(
        self,
        rule: Rule,
        seeds: Sequence[Seed],
        prober: Asker,
        target: Asker,
        judge: Asker | None,
        gate: Gate,
        words: Words,
        grading: Templates,
        attack: Attack,
    ) -> None:
        self._rule, self._seeds = rule, seeds
        self._prober, self._target, self._judge, self._gate = prober, target, judge, gate
        self._words, self._grading, self._attack = words, grading, attack

    async def attempt(self, number: int) -> Attempt:
        """One conversation, up to the first break.

        Raises:
            ModelError: a model cannot answer at all.
            BudgetSpent: none may be asked any more.
        """
        attack = self._attack
        rng = random.Random(f"{attack.seed}/{self._rule.id}/attempt/{number}")
        styles = sorted(self._words.styles)
        first = random.Random(f"{attack.seed}/{self._rule.id}").randrange(len(styles))
        style = styles[(first + number) % len(styles)]  # not by how many are made: more of the same are made later
        shown = rng.sample(list(self._seeds), min(attack.shown, len(self._seeds)))
        turns: list[Turn] = []
        end, broken = "held", False
        while len(turns) < attack.turns and not broken:
            message, seed, why = await self._next(turns, style, shown, rng, number)
            if not message:
                end = why
                break
            turn, why = await self._answered(turns, message, seed)
            turns.append(turn)
            broken = is_break(turn, attack.by)
            if why:
                end = why
                break
        if broken:
            end = "broken"
        return self._attempt(number, style, shown, turns, end, broken)

    async def _next(
        self, turns: Sequence[Turn], style: str, shown: Sequence[Seed], rng: random.Random, number: int
    ) -> tuple[str, int, str]:
        """The prober's message and the call's seed; or why there is none."""
        why = "unreadable"
        said = [tokens_of(turn.message) for turn in turns]
        asked = self._words.messages(
            "turn",
            self._rule,
            shown=[" ".join(seed.text.split())[:300] for seed in shown],
            conversation=self._words.conversation(_messages(turns)),
            style=self._words.styles[style],
            last=len(turns) + 1 == self._attack.turns,
            kind="break",
        )
        for _ in range(_TRIES):
            seed = _seed(rng)
            sampling = Sampling(self._attack.temperature, 0.95, 200, seed)
            try:
                reply = await self._prober.ask(
                    asked, sampling, about=self._rule.id, stage=f"attempt {number} turn {len(turns)}", schema=_SCHEMA
                )
            except ContentRefused:
                why = "refused"
                continue
            except ContextTooLong:
                return "", seed, "too_long"
            message = read_message(reply.text)
            if not message or is_recipe([Message("user", message)]):
                why = "refused" if is_refusal(reply.text) else "unreadable"
            elif is_refusal(message):
                why = "refused"
            elif any(rouge_l(tokens_of(message), other) >= _REPEATED for other in said):
                why = "repeats"
            else:
                return message, seed, ""
        return "", 0, why

    async def _answered(self, turns: Sequence[Turn], message: str, seed: int) -> tuple[Turn, str]:
        """What the target answers, and what gate and judge say of it; and why the conversation cannot go on."""
        attack = self._attack
        system = (Message("system", attack.system),) if attack.system else ()
        conversation = (*system, *_messages(turns), Message("user", message))
        sampling = Sampling(attack.target_temperature, 1.0, attack.target_tokens, seed)
        try:
            reply = await self._target.ask(conversation, sampling, about=self._rule.id, stage="target")
        except ContentRefused:
            return Turn(message=message, answer="", withheld=True, seed=seed), "withheld"
        except ContextTooLong:
            return Turn(message=message, answer="", seed=seed), "too_long"
        withheld = reply.finish == "filter"
        if not reply.text.strip():
            return Turn(message=message, answer="", withheld=withheld, seed=seed), "withheld"
        verdict = await self._gate.ajudge(Exchange((*conversation, Message("assistant", reply.text))))
        score = verdict.scores.get(self._rule.id)
        looked = score is not None and self._rule.id not in verdict.coverage.not_scanned
        turn = Turn(
            message=message,
            answer=reply.text,
            withheld=withheld,
            gate=self._rule.id in verdict.broken if looked else None,
            score=None if score is None else round(score, 4),
            seed=seed,
        )
        return await self._judged(turn, conversation), ""

    async def _judged(self, turn: Turn, conversation: Sequence[Message]) -> Turn:
        if self._judge is None:
            return turn
        asked = grade_messages(self._grading, self._rule, conversation, turn.answer)
        sampling = Sampling(0.0, max_tokens=250, seed=self._attack.seed)
        try:
            reply = await self._judge.ask(asked, sampling, about=self._rule.id, stage="judge", schema=GRADE_SCHEMA)
        except (ContentRefused, ContextTooLong) as error:
            return turn.model_copy(update={"reason": f"not judged: {error.what}"})
        grade = read_grade(reply.text)
        if grade is None:
            return turn.model_copy(update={"reason": "not judged: the answer cannot be read"})
        return turn.model_copy(update={"judge": grade.breaks, "evasive": grade.evasive, "reason": grade.reason})

    def _attempt(
        self, number: int, style: str, shown: Sequence[Seed], turns: Sequence[Turn], end: str, broken: bool
    ) -> Attempt:
        told = f"{self._rule.id}/{number}/{self._attack.seed}/{self._target.identity}"
        told += "".join(f"\0{turn.message}\0{turn.answer}" for turn in turns)
        return Attempt.model_validate(
            {
                "id": hashlib.blake2b(told.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest(),
                "rule": self._rule.id,
                "rule_digest": rule_digest(self._rule),
                "number": number,
                "style": style,
                "shown": tuple(seed.id for seed in shown),
                "turns": tuple(turns),
                "broken": broken,
                "by": self._attack.by,
                "end": end,
                "prober": self._prober.identity,
                "target": self._target.identity,
                "judge": self._judge.identity if self._judge else None,
                "gate": self._gate.identity,
            }
        )


_SCHEMA = {
    "type": "object",
    "properties": {"message": {"type": "string", "minLength": 1, "maxLength": 600}},
    "required": ["message"],
    "additionalProperties": False,
}


def _messages(turns: Sequence[Turn]) -> tuple[Message, ...]:
    return tuple(
        message for turn in turns for message in (Message("user", turn.message), Message("assistant", turn.answer))
    )


def _seed(rng: random.Random) -> int:
    return rng.getrandbits(31)
