"""Pieces of an exchange that one ask can hold: a window of the judged text, and the turns before it that fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from guard.detectors.base import parts
from guard.exchange import Exchange, Message, Role
from rules.schema import Part

_OVERLAP = 0.1
"""The share of a window that the next one begins with, so that no sentence is seen by halves alone."""
_CUT = "… "


@dataclass(frozen=True, slots=True)
class Piece:
    """What one ask is about."""

    part: Part
    role: Role
    text: str
    """The judged text, or a window of it."""
    start: int
    """Where the window begins in the part's text, characters."""
    earlier: tuple[Message, ...] = ()
    """The turns before, oldest first; the first may be cut at its beginning."""

    @property
    def span(self) -> tuple[int, int]:
        """Where the window stands in the part's text."""
        return self.start, self.start + len(self.text)


def pieces_of(exchange: Exchange, *, window: int, context: int) -> dict[Part, list[Piece]]:
    """The pieces of each part under judgement; none of a text that is blank.

    Args:
        exchange: its last message is judged.
        window: characters of one piece.
        context: characters of the turns before it.
    """
    role = exchange.messages[-1].role
    earlier = _latest(exchange.messages[:-1], context)
    return {
        part: [Piece(part, role, text[start:end], start, earlier) for start, end in windows(text, window)]
        for part, text in parts(exchange)
        if text.strip()
    }


def windows(text: str, size: int) -> list[tuple[int, int]]:
    """Half-open spans of at most `size` characters that overlap and together cover the text."""
    step = size - int(size * _OVERLAP)
    starts = range(0, max(1, len(text) - (size - step)), step)
    return [(start, min(start + size, len(text))) for start in starts]


def _latest(messages: Sequence[Message], room: int) -> tuple[Message, ...]:
    """The last messages that fit into `room` characters; of the oldest of them only its end, where it is too long."""
    kept: list[Message] = []
    for message in reversed(messages):
        if room <= 0:
            break
        content = message.content
        kept.append(message if len(content) <= room else Message(message.role, _CUT + content[-room:]))
        room -= len(content)
    return tuple(reversed(kept))
