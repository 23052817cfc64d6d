"""A row in the making: what the loop has of it so far, and how it ends."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from constitution.prompt import Prompt
from constitution.row import Call, Rejection, Round, Said, Stage
from constitution.templates import Templates
from guard.exchange import Message


class Rejected(Exception):
    """The row ends here."""

    def __init__(self, rejection: Rejection) -> None:
        super().__init__(rejection.reason)
        self.rejection = rejection


@dataclass(slots=True)
class Draft:
    """What the loop has of one row so far."""

    prompt: Prompt
    seed: int
    templates: Templates
    """In the language of the prompt."""
    began: float = field(default_factory=time.time)
    stage: Stage = "answer"
    answer: str | None = None
    """The first answer."""
    final: str | None = None
    """The answer as it stands."""
    finish: str = "stop"
    """How the model ended the answer that stands; `length` means cut off."""
    rounds: list[Round] = field(default_factory=list)
    rationale: str | None = None
    scores: dict[str, float] = field(default_factory=dict)
    """The gate's highest score of `prompt`, `answer` and `final`."""
    judged: dict[str, bool | int | str] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)

    @property
    def conversation(self) -> tuple[Message, ...]:
        """The messages up to the user's last."""
        return self.prompt.messages

    @property
    def question(self) -> str:
        """The user's last message."""
        return self.prompt.messages[-1].content

    @property
    def standing(self) -> str:
        """The answer as it stands, as text."""
        return self.final or ""

    @property
    def said(self) -> tuple[Said, ...]:
        """The conversation as it is written down."""
        return tuple(Said(role=m.role, content=m.content, reasoning=m.reasoning) for m in self.conversation)

    def rejected(self, reason: str, detail: str) -> Rejected:
        """What to raise to end the row at its present stage."""
        return Rejected(Rejection(stage=self.stage, reason=reason, detail=detail))

    def fallen(self, fault: Rejection) -> Rejected:
        """What to raise to end the row at its present stage for `fault`."""
        return self.rejected(fault.reason, fault.detail)
