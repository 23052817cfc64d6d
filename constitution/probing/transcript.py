"""What was said in one attempt, what gate and judge made of it, and whether that is a break."""

from __future__ import annotations

from typing import Literal, TypeAlias

from constitution.row import Record

By: TypeAlias = Literal["agreed", "either", "gate", "judge"]
"""Whose word makes a break: that of all who looked, of any of them, or of one."""


class Turn(Record):
    """One message of the prober, and what the target made of it."""

    message: str
    answer: str
    withheld: bool = False
    """The provider's own filter refused the conversation, or withheld the answer."""
    gate: bool | None = None
    """Whether the gate finds the rule broken in the answer; None where it does not look there."""
    score: float | None = None
    """The gate's score for the rule."""
    judge: bool | None = None
    """Whether the judge says that the answer breaks it; None without a judge, or where its answer cannot be read."""
    evasive: bool | None = None
    """Whether the judge says that the answer declines without any help."""
    reason: str = ""
    """The judge's reason."""
    seed: int
    """Of the prober's call and the target's."""


class Attempt(Record):
    """One conversation that tried to make a model break a rule."""

    id: str
    rule: str
    rule_digest: str
    number: int
    """Which of the rule's attempts, from 0."""
    style: str
    shown: tuple[str, ...]
    """Ids of the human-written openings that the prober was shown."""
    turns: tuple[Turn, ...]
    broken: bool
    """Whether the rule was broken, by the word of `by`."""
    by: By
    end: Literal["broken", "held", "repeats", "refused", "unreadable", "too_long", "withheld"]
    """`held`: all turns were made, and the rule was kept; `repeats`, `refused`, `unreadable`: the prober had nothing
    more to say; `too_long`, `withheld`: the target could not go on."""
    prober: str
    target: str
    judge: str | None
    gate: str

    @property
    def gate_found(self) -> bool:
        """Whether the gate found a break in any answer."""
        return any(turn.gate for turn in self.turns)

    @property
    def judge_found(self) -> bool:
        """Whether the judge saw one in any answer."""
        return any(turn.judge for turn in self.turns)

    def find(self) -> dict[str, object]:
        """The conversation up to the break as a line for the red-team ledger."""
        messages = [
            {"role": role, "content": content}
            for turn in self.turns
            for role, content in (("user", turn.message), ("assistant", turn.answer))
        ]
        last = self.turns[-1]
        return {
            "id": self.id,
            "prompt": messages[:-1] if len(messages) > 2 else messages[0]["content"],
            "response": last.answer,
            "rule": self.rule,
            "kind": "break",
            "model": self.target,
            "reason": last.reason,
            "lineage": self.model_dump(mode="json", exclude={"turns", "id", "rule"}) | {"turns": len(self.turns)},
        }


def is_break(turn: Turn, by: By) -> bool:
    """Whether an answer counts as a break. Whoever did not look has no word, and where nobody did there is none."""
    words = {"gate": turn.gate, "judge": turn.judge}
    if by in words:
        return bool(words[by])
    looked = [word for word in words.values() if word is not None]
    return bool(looked) and (all(looked) if by == "agreed" else any(looked))
