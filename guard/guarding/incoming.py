"""What a client asks and what a model answers, as the guard sees them: whatever the API that carried them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from guard.exchange import Message
from guard.window.outcomes import Channel


@dataclass(frozen=True, slots=True)
class Unscannable:
    """Something that no detector can read: an image, a sound, a file, an event of unknown kind."""

    where: str
    """Its place, as the API writes it: `messages[2].content[1]`."""
    what: str
    """Its kind, as the API calls it: `image_url`."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request: the conversation so far, which a model is to go on with."""

    messages: tuple[Message, ...]
    """In order, the API's system or instruction text first; one message a turn, its text parts joined by line ends."""
    unscannable: tuple[Unscannable, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """One choice of an answer that came whole."""

    texts: Mapping[Channel, str]
    """Every text of it that a client could read; empty ones left out."""
    unscannable: tuple[Unscannable, ...] = ()
    source: object = field(default=None, compare=False)
    """What the API read it from; the guard hands it back as it is."""
