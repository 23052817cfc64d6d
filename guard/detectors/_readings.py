"""What an encoder reads of an exchange: windows of each part, in each view that takes a disguise off."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from guard.detectors.base import parts
from guard.encoders import Encoder
from guard.exchange import Exchange
from guard.views import View, views
from guard.views.words import count_english, is_english
from rules.schema import Part

CONTEXT = 180
"""Characters of the prompt that an answer is judged with: its beginning, where most requests say what they want."""

WIDE_CONTEXT = 60
"""The same for a prompt beyond ASCII, where a letter may be a token."""

OTHER_VIEWS = 4
"""Views beside the text itself that are encoded; a text has more only where someone nests encodings."""

LEAST = 20
"""Characters of a reading, or of the code that it comes from, that are taken for a text whatever they are."""

LEAST_WORDS = 3
"""Words that are, however short."""

_SPEAKS = frozenset({Part.RESPONSE, Part.REASONING, Part.TOOL_CALL})


@dataclass(frozen=True, slots=True)
class Reading:
    """One window of one view of one part."""

    place: int
    """Which exchange."""
    part: Part
    original: str
    """The whole part."""
    view: str
    span: tuple[int, int]
    """Where the window lies in the part."""
    text: str
    """The window alone."""
    in_context: str
    """The window with the prompt it answers; the same as `text` for what is no answer."""


def readings(exchange: Exchange, place: int, encoder: Encoder) -> Iterator[Reading]:
    """All readings of the parts under judgement; none of a blank part."""
    asked = asked_before(exchange)
    for part, text in parts(exchange):
        context = context_of(asked) if part in _SPEAKS else ""
        for view in worth_reading(text):
            for start, end in encoder.windows(view.text, beside=context):
                window = view.text[start:end]
                yield Reading(place, part, text, view.name, view.span(start, end), window, in_context(context, window))


def in_context(prompt: str, window: str) -> str:
    """How heads are taught to see an answer: behind the beginning of its prompt."""
    return f"{context_of(prompt)}\n\n{window}" if prompt else window


def context_of(prompt: str) -> str:
    """The beginning of a prompt: at most three quarters of what an encoder takes, even at a token a letter."""
    return prompt[:CONTEXT] if prompt.isascii() else prompt[:WIDE_CONTEXT]


def asked_before(exchange: Exchange) -> str:
    """What the user said last before the message under judgement."""
    for message in reversed(exchange.messages[:-1]):
        if message.role == "user":
            return message.content
    return ""


def worth_reading(text: str) -> list[View]:
    """The text itself, and the views that read otherwise: what was decoded first, letters put together last.

    Of a long code there are several collapsed views, which say nothing; none may push out what the code says.
    """
    raw, *others = views(text).all
    found = [raw]
    seen = {raw.text.casefold()}
    plain = is_english(raw.text)
    for view in sorted(others, key=_least_telling):
        key = view.text.casefold()
        # English turned round is no English, and an encoder makes of such noise what it will.
        if key not in seen and not (plain and _is_guess(view)) and not _is_scrap(view, text):
            seen.add(key)
            found.append(view)
        if len(found) > OTHER_VIEWS:
            break
    return found


def _least_telling(view: View) -> tuple[bool, bool, int]:
    steps = view.name.split(">")
    return _is_guess(view), steps[-1].startswith("collapsed"), -len(steps)


def _is_guess(view: View) -> bool:
    """Whether the text was turned round on the chance that English words then stand in it, and none does."""
    return not _TURNED.isdisjoint(view.name.split(">")) and view.text.isascii() and count_english(view.text) == 0


def _is_scrap(view: View, text: str) -> bool:
    """Whether a reading is a few letters that may mean nothing: turned round, or out of a code too short to be one. An
    encoder, which knows harmless texts by their sense, takes such scraps for anything."""
    if len(view.text) >= LEAST or len(view.text.split()) >= LEAST_WORDS:
        return False
    steps = frozenset(view.name.split(">"))
    return not _TURNED.isdisjoint(steps) or (len(text) < LEAST and not _CODES.isdisjoint(steps))


_TURNED = frozenset({"rot13", "reversed"})
_CODES = frozenset({"morse", "binary", "hex", "numbers", "base32", "base64"})
"""What a short word may look like by chance; escapes and hidden characters it does not."""
