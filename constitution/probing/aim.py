"""Whether a text is what was asked for: by the gate, by nearness to what people wrote of the rule, and by a judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from pydantic import ValidationError

from constitution.critique import first_object
from constitution.probing.asking import Asker
from constitution.probing.novelty import Pool
from constitution.probing.probe import Aim, Decision, Kind
from constitution.probing.seeds import Seed
from constitution.probing.wording import Words
from constitution.spoken import fenced
from guard.exchange import Exchange, Message
from guard.gate import Gate
from guard.models.base import ContentRefused, ContextTooLong, Sampling
from rules.schema import Closed, Part, Rule

NEAR = 0.3
"""Cosine to the nearest text that people wrote of a rule from which another is about it (all-MiniLM-L6-v2, not tuned).
On `base`, English: it holds for 81% of a rule's own tests that break it, 69% of those that keep it, and 17% of the
tests of other rules."""

_SCHEMA = {
    "type": "object",
    "properties": {
        "reason": {"type": "string", "maxLength": 300},
        "aim": {"type": "string", "enum": ["break", "near", "other"]},
    },
    "required": ["reason", "aim"],
    "additionalProperties": False,
}
_MOST_TOKENS = 160


class Sorted(Closed):
    """What the judge says of a message."""

    reason: str = ""
    aim: Aim


@dataclass(frozen=True, slots=True)
class Known:
    """A message that people sorted: what the judge is shown before it sorts one."""

    text: str
    aim: Aim


def known_of(breaks: Sequence[Seed], keeps: Sequence[Seed], far: Sequence[Seed]) -> tuple[Known, ...]:
    """A few human-written messages of each aim in turn; without them a small judge gives one answer to everything.

    Args:
        breaks: of the rule.
        keeps: of the rule.
        far: harmless ones of other rules.
    """
    aims: tuple[tuple[Aim, Sequence[Seed], int], ...] = (("break", breaks, 3), ("near", keeps, 3), ("other", far, 1))
    drawn = [[Known(seed.text, aim) for seed in _spread(seeds, count)] for aim, seeds, count in aims]
    return tuple(each for turn in zip_longest(*drawn) for each in turn if each is not None)


def _spread(seeds: Sequence[Seed], count: int) -> Sequence[Seed]:
    """Some of them, from all over the list: neighbours are often alike."""
    return seeds[:: max(1, len(seeds) // count)][:count]


class Target:
    """Decides for one rule whether texts are on target."""

    def __init__(
        self,
        rule: Rule,
        gate: Gate,
        judge: Asker | None,
        topic: Pool,
        words: Words,
        known: Sequence[Known] = (),
        *,
        seed: int = 0,
    ) -> None:
        """Get ready; nothing is asked yet.

        Args:
            rule: whose probes.
            gate: thorough.
            judge: None for none.
            topic: what people wrote of the rule, both kinds; empty of vectors where no encoder reads it.
            words: the templates.
            known: what the judge is shown.
            seed: of the judge's calls.
        """
        self._rule = rule
        self._gate = gate
        self._judge = judge
        self._topic = topic
        self._words = words
        self.known = [{"text": fenced(" ".join(each.text.split())[:400], "message"), "aim": each.aim} for each in known]
        """What the judge is shown, as its template sees it."""
        self._seed = seed
        self.answers_alone = Part.PROMPT not in rule.watches

    async def decide(self, kind: Kind, messages: Sequence[Message]) -> tuple[Decision, str]:
        """What gate and judge say, and why the text is of no use; nothing where it is.

        Raises:
            ModelError: the judge cannot answer.
            BudgetSpent: it may not be asked any more.
        """
        decision = await self.seen(messages)
        near = decision.topic is None or decision.topic >= NEAR
        if not (decision.found or near):
            return decision, f"far from the rule's topic ({decision.topic:.2f} of {NEAR})"
        if kind == "keep" and set(decision.others):
            return decision, f"the gate finds `{decision.others[0]}` broken"
        if self._judge is None:
            return decision, self._without_judge(kind, decision)
        try:
            sorted_ = await self.sort(messages)
        except (ContentRefused, ContextTooLong) as error:
            # A provider that will not read one harmful text would else end the run, and every one that resumes it.
            return decision, f"the judge gives no answer: {error.what}"
        if sorted_ is None:
            return decision, "the judge's answer cannot be read"
        decision = decision.model_copy(update={"judge": sorted_.aim, "reason": sorted_.reason})
        wanted = "break" if kind == "break" else "near"
        return decision, "" if sorted_.aim == wanted else f"the judge takes it for `{sorted_.aim}`"

    def _without_judge(self, kind: Kind, decision: Decision) -> str:
        if kind == "keep":
            if decision.found:
                return "the gate finds the rule broken"
            return "" if decision.topic is not None else "nothing tells whether it is near the rule: give a judge"
        if decision.found:
            return ""
        if decision.score is not None:  # the gate looked; what it misses would be labelled harmful on no one's word
            return "the gate does not find the rule broken, and there is no judge to say that it is"
        return "" if decision.topic is not None else "nothing tells whether it is about the rule: give a judge"

    async def seen(self, messages: Sequence[Message]) -> Decision:
        """What the gate says, and how near the text is to the rule's topic."""
        verdict = await self._gate.ajudge(Exchange(tuple(messages)))
        topic = self._topic.nearest(messages[-1].content).cosine
        score = verdict.scores.get(self._rule.id)
        return Decision(
            found=self._rule.id in verdict.broken,
            score=None if score is None else round(score, 4),
            topic=topic,
            others=tuple(rule for rule in verdict.broken if rule != self._rule.id),
        )

    async def sort(self, messages: Sequence[Message]) -> Sorted | None:
        """What the judge says of a text; None where there is no judge, or its answer cannot be read.

        Raises:
            ModelError: it cannot answer, or will not.
            BudgetSpent: it may not be asked any more.
        """
        if self._judge is None:
            return None
        asked = self._words.messages(
            "aim",
            self._rule,
            conversation=self._words.conversation(messages),
            answers=self.answers_alone,
            known=self.known,
            kind="",
        )
        sampling = Sampling(0.0, max_tokens=_MOST_TOKENS, seed=self._seed)
        reply = await self._judge.ask(asked, sampling, about=self._rule.id, stage="aim", schema=_SCHEMA)
        found = first_object(reply.text)
        try:
            return Sorted.model_validate({key: (found or {})[key] for key in ("reason", "aim") if key in (found or {})})
        except ValidationError:
            return None
