"""The texts that a model gave for one request, before anything was done about them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from guard.exchange import Exchange, Message
from guard.guarding.incoming import Answer, Incoming
from guard.guarding.prompts import new_looks
from guard.guarding.tally import name_of
from guard.window.outcomes import Channel
from rules.schema import Part

LIMIT = 2_000_000
"""Characters of a request and its answers that are kept to be judged again; what is longer is left out."""

Look = tuple[str, Part, Exchange]
"""One text under judgement: its place, what it is, and the exchange that it is judged in."""


class TooLong(Exception):
    """The texts are longer than what is kept of them."""


class Given:
    """Collects them as they come."""

    __slots__ = ("_texts", "size")

    def __init__(self) -> None:
        """Nothing has come."""
        self._texts: dict[tuple[int, Channel], list[str]] = {}
        self.size = 0
        """Characters."""

    def add(self, choice: int, channel: Channel, text: str) -> None:
        """A piece of a stream."""
        self.size += len(text)
        if self.size > LIMIT:
            self._texts.clear()
        else:
            self._texts.setdefault((choice, channel), []).append(text)

    def take(self, answers: Sequence[Answer]) -> None:
        """The choices of an answer that came whole."""
        for choice, answer in enumerate(answers):
            for channel, text in answer.texts.items():
                self.add(choice, channel, text)

    def texts(self) -> Iterator[tuple[int, Channel, str]]:
        """Choice, channel and text.

        Raises:
            TooLong: they were not all kept.
        """
        if self.size > LIMIT:
            raise TooLong
        for (choice, channel), pieces in self._texts.items():
            text = "".join(pieces)
            if text:
                yield choice, channel, text


def looks_of(incoming: Incoming, given: Given) -> list[Look]:
    """What a guard judges of a request: its new messages and system texts, then each text of each choice. Older turns
    were judged when they were new.

    Raises:
        TooLong: the model's texts were not all kept.
    """
    messages = incoming.messages
    looks = [(look.where, _part(look.exchange, look.channel), look.exchange) for look in new_looks(messages)]
    asked = Exchange(_last_turn(messages))
    begun = messages[-1].content if messages and messages[-1].role == "assistant" else ""
    for choice, channel, text in given.texts():
        # an answer that goes on from what the client has begun is read with it
        whole = begun + text if begun and channel.kind == "text" else text
        looks.append((f"choices[{choice}].{name_of(channel)}", channel.part, channel.exchange(asked, whole)))
    return looks


def size_of(looks: Iterable[Look]) -> int:
    """Characters under judgement."""
    size = 0
    for _, _, exchange in looks:
        last = exchange.messages[-1]
        size += len(last.content) + len(last.reasoning or "") + sum(map(len, last.tool_calls))
    return size


def _part(exchange: Exchange, channel: Channel) -> Part:
    return channel.part if exchange.messages[-1].role == "assistant" else exchange.part


def _last_turn(messages: Sequence[Message]) -> tuple[Message, ...]:
    for message in reversed(messages):
        if message.role == "user":
            return (message,)
    return ()
