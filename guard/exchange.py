"""Message and Exchange: the one shape every API, prompt file and example is turned into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from rules.schema import Example, Part

Role = Literal["system", "user", "assistant", "tool"]

_PART = {"system": Part.SYSTEM, "user": Part.PROMPT, "assistant": Part.RESPONSE, "tool": Part.TOOL_RESULT}


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str
    reasoning: str | None = field(default=None, kw_only=True)
    """What an assistant thought before it spoke, kept apart from what it said."""
    tool_calls: tuple[str, ...] = field(default=(), kw_only=True)
    """The arguments of the tools that an assistant calls, as it wrote them: JSON, one text a call."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """The conversation so far; the last message is the one under judgement."""

    messages: tuple[Message, ...]

    @classmethod
    def of(cls, prompt: str | Sequence[Message], response: str | None = None) -> Exchange:
        """An exchange from a prompt (a string, or messages) and, if there is one, the response to it."""
        turns = (Message("user", prompt),) if isinstance(prompt, str) else tuple(prompt)
        return cls(turns if response is None else (*turns, Message("assistant", response)))

    @classmethod
    def of_example(cls, example: Example) -> Exchange:
        """The exchange that a rule's example stands for."""
        return cls(tuple(Message(turn.role, turn.content) for turn in example.messages))

    @property
    def part(self) -> Part:
        """The part under judgement."""
        return _PART[self.messages[-1].role]

    @property
    def text(self) -> str:
        """The text under judgement."""
        return self.messages[-1].content
