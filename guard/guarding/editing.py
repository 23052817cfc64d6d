"""A conversation with some of its texts replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from guard.exchange import Message
from guard.guarding.rulings import Place


def edited(messages: Sequence[Message], edits: Mapping[Place, str]) -> tuple[Message, ...]:
    """The messages as the model is to see them.

    Raises:
        IndexError: a place that the conversation does not have.
    """
    said = list(messages)
    for (index, channel), text in edits.items():
        message = said[index]
        if channel.kind == "tool":
            calls = list(message.tool_calls)
            calls[channel.index] = text
            said[index] = replace(message, tool_calls=tuple(calls))
        elif channel.kind == "reasoning":
            said[index] = replace(message, reasoning=text)
        else:
            said[index] = replace(message, content=text)
    return tuple(said)
