"""What the guard asks to mend an answer. The loop's own critique and revision stand behind it in `constitution`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from guard.exchange import Message
from guard.models.base import Usage


@dataclass(frozen=True, slots=True)
class Revised:
    """An answer written anew."""

    text: str
    usage: Usage
    """Tokens of all calls that made it."""


class Reviser(Protocol):
    """Rewrites an answer so that it keeps a rule."""

    async def revise(self, rule: str, conversation: Sequence[Message], answer: str) -> Revised | None:
        """One round of critique and revision under one rule.

        Args:
            rule: id of the rule that the answer breaks.
            conversation: what was asked.
            answer: what is to be mended.

        Returns:
            None where the critic sees nothing to mend, or what came back is no answer.

        Raises:
            ModelError: the model could not answer.
        """
