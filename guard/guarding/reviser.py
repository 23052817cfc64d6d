"""What the guard asks to mend an answer. The loop's own critique and revision stand behind it in `constitution`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from guard.exchange import Message
from guard.models.base import Usage


@dataclass(frozen=True, slots=True)
class Revised:
    """What one round came to."""

    text: str | None
    """The answer written anew; the same one where the critic saw nothing to mend; None where no usable answer came."""
    usage: Usage = field(default_factory=Usage)
    """Tokens of all calls of the round."""
    kept: bool = False
    """Whether the critic saw nothing to mend."""
    why: str = ""
    """Why no usable answer came, in words that quote nothing of the conversation."""


class Reviser(Protocol):
    """Rewrites an answer so that it keeps a rule."""

    async def revise(self, rule: str, conversation: Sequence[Message], answer: str, *, tokens: int) -> Revised:
        """One round of critique and revision under one rule.

        Args:
            rule: id of the rule that the answer breaks.
            conversation: what was asked.
            answer: what is to be mended.
            tokens: what the round may cost, read and written; where less is left than a call may take, it is not made.

        Raises:
            ModelError: the model could not answer.
        """
