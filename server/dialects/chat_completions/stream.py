"""Streams: the texts in each chunk, and how a chunk goes on with less of them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

from guard.guarding.incoming import Unscannable
from guard.guarding.rulings import Ruling
from guard.window.outcomes import Channel
from server.dialects import _events
from server.dialects._leaves import Leaf, Path
from server.dialects.base import Delta, Ending, Fault, Json
from server.dialects.chat_completions import pieces
from server.dialects.chat_completions.answer import replaced, wanted
from server.dialects.chat_completions.faults import fault_body
from server.dialects.chat_completions.fields import (
    KNOWN_AROUND,
    KNOWN_OF_PIECE,
    OTHER,
    REFUSAL,
    TEXT,
    TOKENS,
    Slot,
    read_around,
    read_fields,
    repeated,
)
from server.dialects.chat_completions.request import tool_names
from server.upstreams.base import Event


class _Found(NamedTuple):
    slots: list[tuple[int, Slot]]
    """Choice, and a text of it; places count from the event's data."""
    unscannable: Unscannable | None


_NOTHING = _Found([], None)


class ChatStream:
    """One stream of chunks. See `server.dialects.base.Streamed`."""

    repeats = False

    def __init__(self, body: Json, ending: Ending) -> None:
        """The stream that answers `body`."""
        self._body = body
        self._ending = ending
        self._names = tool_names(body)
        options = body.get("stream_options")
        self._tells_usage = type(options) is dict and options.get("include_usage") is True
        self._choices = wanted(body)
        self._head: Json | None = None
        self._others: dict[Path, Channel] = {}
        self._read: tuple[Event, _Found] | None = None
        # Choices whose role has left for sure; with a role that came along with a text it is that text which tells.
        self._begun: set[int] = set()

    def texts(self, event: Event) -> list[Delta]:
        """See `Streamed.texts`. Text outside the choices counts as the first one's."""
        plain = self._plain(event)
        if plain is not None:
            return [(plain[0], TEXT, plain[1])] if plain[1] else []
        return [(choice, slot.channel, slot.leaf.text) for choice, slot in self._find(event).slots]

    def unscannable(self, event: Event) -> Unscannable | None:
        """See `Streamed.unscannable`: sounds, images, and objects that are no chunk."""
        if self._plain(event) is not None:
            return None
        try:
            return self._find(event).unscannable
        except ValueError:
            return None  # `texts` says what is wrong with it

    def cut(self, event: Event, texts: Mapping[tuple[int, Channel], str], *, first: bool, last: bool) -> Event | None:
        """See `Streamed.cut`."""
        if event.data is None:
            return event
        if first:
            self._begin(event.data)
        slots = self._find(event).slots
        if first and last and _unchanged(slots, texts):
            return event
        data = pieces.cut(event.data, slots, texts, first=first, last=last)
        return None if data is None else _events.event(data, event.name)

    def settled(self, event: Event, sent: Mapping[tuple[int, Channel], str]) -> Event:
        """Chunks repeat nothing."""
        return event

    def without(self, event: Event, choices: AbstractSet[int]) -> Event | None:
        """See `Streamed.without`."""
        if event.data is None or type(event.data.get("choices")) is not list:
            return event
        around = [slot.leaf.path[0] for _, slot in self._find(event).slots if slot.leaf.path[0] != "choices"]
        data = pieces.without(event.data, choices, around if 0 in choices else ())
        if data is event.data:
            return event
        return None if data is None else _events.event(data, event.name)

    def stopped(self, choice: int, ruling: Ruling) -> list[Event]:
        """See `Streamed.stopped`."""
        # Where the reply is set off by an empty line, text has left, and the role with it or before it.
        begun = choice in self._begun or (ruling.text or "").startswith("\n\n")
        self._begun.add(choice)
        chunks = pieces.told(replaced(choice, ruling, self._ending), choice, role=not begun)
        return [_events.event({**self._of_stream(), "choices": [chunk]}) for chunk in chunks]

    def ended(self) -> list[Event]:
        """The closing event. The usage of a stream that was broken off is not known, and so not told."""
        return [_events.DONE]

    def choices(self) -> int:
        """As many as were asked for, or more if more have come."""
        return self._choices

    def fault(self, fault: Fault) -> list[Event]:
        """An error object, which the client library raises as an error, and the end."""
        return [_events.event(fault_body(fault)), _events.DONE]

    def whole(self, response: Json) -> list[Event]:
        """See `Streamed.whole`."""
        head = {**_head(response), **({"usage": None} if self._tells_usage else {})}
        events = []
        beside = {name: value for name, value in response.items() if name not in KNOWN_AROUND}
        for place, choice in enumerate(response["choices"]):
            index = choice.get("index", place)
            for chunk in pieces.told(choice, index, role=True):
                events.append(_events.event({**head, **beside, "choices": [chunk]}))
                beside = {}
        if self._tells_usage and response.get("usage") is not None:
            events.append(_events.event({**head, "choices": [], "usage": response["usage"]}))
        return [*events, _events.DONE]

    def noted(self, event: Event, wardlaw: Json) -> Event:
        """See `Streamed.noted`."""
        return _events.event({**(event.data or {}), "wardlaw": wardlaw}, event.name)

    def _of_stream(self) -> Json:
        """The members that all chunks of this stream share."""
        if self._head is None:
            model = self._body.get("model")
            self._head = {
                "id": f"chatcmpl-{secrets.token_hex(12)}",
                "object": "chat.completion.chunk",
                "created": int(time.time()),
                "model": model if type(model) is str else "",
            }
        return {**self._head, "usage": None} if self._tells_usage else self._head

    def _plain(self, event: Event) -> tuple[int, str] | None:
        """Choice and text of a chunk that has nothing else: most of all there are, seen to in a microsecond."""
        data = event.data
        if data is None or self._head is None or not KNOWN_AROUND.issuperset(data):
            return None
        choices = data.get("choices")
        if type(choices) is not list or len(choices) != 1:
            return None
        choice = choices[0]
        if type(choice) is not dict or not KNOWN_OF_PIECE.issuperset(choice) or choice.get("logprobs") is not None:
            return None
        delta, index = choice.get("delta"), choice.get("index")
        if type(delta) is not dict or type(index) is not int or not 0 <= index < self._choices:
            return None
        text = delta.get("content")
        if type(text) is not str or len(delta) > 2 or (len(delta) == 2 and delta.get("role") != "assistant"):
            return None
        if not text and len(delta) == 2:
            self._begun.add(index)  # nothing holds it back
        return index, text

    def _find(self, event: Event) -> _Found:
        """All texts in an event, and what cannot be scanned.

        Raises:
            ValueError: it is no chunk.
        """
        if self._read is not None and self._read[0] is event:
            return self._read[1]
        found = self._look(event)
        self._read = (event, found)
        return found

    def _look(self, event: Event) -> _Found:
        data = event.data
        if data is None:
            if event.kind != "data":
                return _NOTHING
            raise ValueError("an event without a JSON object")
        if data.get("error") is not None:
            raise ValueError("error: the upstream says that it failed")
        choices = data.get("choices")
        if type(choices) is not list:
            return _Found([], Unscannable("event", event.name or str(data.get("object", "unknown"))[:40]))
        if self._head is None and type(data.get("id")) is str:
            self._head = _head(data)
        slots: list[tuple[int, Slot]] = []
        odd: list[Unscannable] = []
        for place, choice in enumerate(choices):
            self._look_at(choice, place, slots, odd)
        if not KNOWN_AROUND.issuperset(data):
            around = read_around(data, KNOWN_AROUND, (), lambda path: self._other(("", *path)))
            slots += [(0, slot) for slot in around.slots]
            odd += around.unscannable
        return _Found(slots, odd[0] if odd else None)

    def _look_at(self, choice: Any, place: int, slots: list[tuple[int, Slot]], odd: list[Unscannable]) -> None:
        """The texts of one choice in a chunk."""
        at: Path = ("choices", place)
        if type(choice) is not dict:
            raise ValueError(f"choices[{place}]: `{type(choice).__name__}` is no object")
        index = choice.get("index", 0)
        if type(index) is not int or not 0 <= index < 10_000:
            raise ValueError(f"choices[{place}].index: no number of a choice")
        self._choices = max(self._choices, index + 1)
        delta = choice.get("delta")
        if delta is not None and type(delta) is not dict:
            raise ValueError(f"choices[{place}].delta: `{type(delta).__name__}` is no object")
        fields = read_fields(delta or {}, (*at, "delta"), lambda path: self._other(path[2:]), self._names)
        beside = read_around(choice, KNOWN_OF_PIECE, at, lambda path: self._other(path[2:]))
        found = [*fields.slots, *beside.slots]
        if choice.get("logprobs") is not None:
            texts = {"content": TEXT, "refusal": REFUSAL}
            said = repeated(
                choice["logprobs"],
                lambda kind: "".join(slot.leaf.text for slot in found if slot.channel == texts[kind]),
            )
            if said:
                found.append(Slot(TOKENS, Leaf((*at, "logprobs"), said)))
        if delta and "role" in delta and not found:
            self._begun.add(index)  # nothing holds it back
        slots += [(index, slot) for slot in found]
        odd += fields.unscannable
        odd += beside.unscannable

    def _other(self, path: Path) -> Channel:
        """The channel of an unknown member: one each, or their pieces would get mixed up."""
        channel = self._others.get(path)
        if channel is None:
            channel = self._others[path] = Channel("aside", OTHER.index + len(self._others))
        return channel

    def _begin(self, data: Json) -> None:
        for choice in data.get("choices") or ():
            delta = choice.get("delta")
            if delta and "role" in delta:
                self._begun.add(choice.get("index", 0))


def _unchanged(slots: list[tuple[int, Slot]], texts: Mapping[tuple[int, Channel], str]) -> bool:
    said: dict[tuple[int, Channel], str] = {}
    for choice, slot in slots:
        key = (choice, slot.channel)
        said[key] = said.get(key, "") + slot.leaf.text
    return all(texts.get(key) == text for key, text in said.items())


def _head(data: Json) -> Json:
    """What the chunks of one answer have in common."""
    shared = ("id", "created", "model", "system_fingerprint", "service_tier")
    return {"object": "chat.completion.chunk", **{name: data[name] for name in shared if name in data}}
