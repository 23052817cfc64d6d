"""One Messages stream: which events carry text, and how it ends where some is withheld."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import replace
from typing import TypeAlias

from guard.guarding.incoming import Unscannable
from guard.guarding.rulings import Ruling
from guard.window.outcomes import Channel
from server.dialects.base import Delta, Fault, Json
from server.dialects.messages.blocks import ASIDE, CALLS, Channels, Content, joiner, read_block, read_content
from server.dialects.messages.departure import Departure
from server.dialects.messages.events import again, delta, message_events
from server.dialects.messages.events import event as made
from server.dialects.messages.slots import Slot, joined, leaves, replaced, spread
from server.upstreams.base import Event

_KEYS = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}
_KINDS = {"text_delta": "text", "thinking_delta": "reasoning", "input_json_delta": "tool"}
_EVENTS = frozenset(
    "message_start message_delta message_stop content_block_start content_block_delta content_block_stop "
    "ping error".split()
)
_DELTAS = frozenset((*_KEYS, "signature_delta", "citations_delta", "compaction_delta"))

_PLAIN = frozenset(("text", "thinking", *CALLS))

Key: TypeAlias = tuple[int, Channel]


class MessageStream:
    """The state of one stream.

    What has come and what has left are two things: `texts` follows the one, `settled` the other, through `Departure`.
    The proxy shows `settled` every event that leaves, since `repeats` is true.
    """

    repeats = True

    def __init__(self, body: Json, fault: Callable[[Fault], Json]) -> None:
        """A stream before its first event.

        Args:
            body: the request.
            fault: writes the body of an error.
        """
        self._fault = fault
        tools = body.get("tools")
        named = [tool.get("name") for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else []
        self._tools = frozenset(name for name in named if isinstance(name, str))
        model = body.get("model")
        self._left = Departure(model if isinstance(model, str) else "")
        self._channels = Channels()
        self._blocks: dict[int, Channel | None] = {}  # index -> where the text of its deltas goes
        self._parts: dict[int, str] = {}  # id of an event that goes whole or not at all -> what of it may leave

    def texts(self, event: Event) -> list[Delta]:
        """The new texts in an event."""
        data = event.data
        if data is None:
            return []
        kind = data.get("type")
        if kind == "content_block_delta":
            piece, index = data.get("delta"), data.get("index")
            if not isinstance(piece, dict) or not isinstance(index, int) or index not in self._blocks:
                raise ValueError("content_block_delta: no `delta`, or one of a block that has not begun")
            form = piece.get("type")
            if not isinstance(form, str):
                raise ValueError("delta.type: no string")
            key = _KEYS.get(form)
            if key is not None:
                text, channel = piece.get(key), self._blocks[index]
                if not isinstance(text, str):
                    raise ValueError(f"delta.{key}: no text")
                if channel is None or channel.kind != _KINDS[form]:
                    raise ValueError(f"delta.type: `{form}` in a block of another kind")
                deltas: list[Delta] = [(0, channel, text)] if text else []
                if len(data) == 3 and len(piece) == 2:
                    return deltas
                more = joined(_beside(data, "index", "delta") + _beside(piece, key), "\n")
                return [*deltas, (0, ASIDE, more + "\n")] if more else deltas
        elif kind == "content_block_start":
            self._begin(data)
        elif kind == "message_start":
            self._left.begun = True
            message = data.get("message")
            blocks = message.get("content") if isinstance(message, dict) else None
            self._blocks.update((index, None) for index in range(len(blocks) if isinstance(blocks, list) else 0))
        counted = data.get("message") if kind == "message_start" else data
        usage = counted.get("usage") if isinstance(counted, dict) else None
        if isinstance(usage, dict) and isinstance(usage.get("output_tokens"), int):
            self._left.usage = {"output_tokens": usage["output_tokens"]}
        return [(0, channel, text) for channel, text in self._content(data).texts().items()]

    def unscannable(self, event: Event) -> Unscannable | None:
        """What in an event cannot be scanned."""
        data = event.data
        if data is None:
            return Unscannable("event", event.name or "event") if event.kind == "data" else None
        kind = data.get("type")
        if kind == "content_block_delta":
            piece = data.get("delta")
            form = piece.get("type") if isinstance(piece, dict) else None
            known = isinstance(form, str) and form in _DELTAS
            return None if known else Unscannable(f"content[{data.get('index')}]", str(form))
        if not isinstance(kind, str) or kind not in _EVENTS:
            return Unscannable("event", str(kind))
        found = Content()
        try:
            if kind == "content_block_start":
                block = data.get("content_block")
                if isinstance(block, dict) and str(block.get("type")) not in _PLAIN:
                    read_block(block, ("content", data.get("index", 0)), None, found)
            elif kind == "message_start" and isinstance(message := data.get("message"), dict):
                found = read_content(message)
        except ValueError:
            return None  # `texts` says so
        return found.unscannable[0] if found.unscannable else None

    def cut(self, event: Event, texts: Mapping[Key, str], *, first: bool, last: bool) -> Event | None:
        """A copy of an event with other texts in place of its own."""
        data = event.data
        if data is None:
            return event
        said = {channel: text for (_, channel), text in texts.items()}
        kind = data.get("type")
        if kind == "content_block_delta" and data["delta"].get("type") in _KEYS:
            original: str = data["delta"][_KEYS[data["delta"]["type"]]]
            return self._piece(event, data["index"], original, said, last=last)
        content = self._content(data)
        if kind == "content_block_start" and ASIDE not in content.slots and content.slots:
            ((_, original),) = content.texts().items()
            piece = self._piece(event, data["index"], original, said, last=last)
            if not first:
                return piece
        elif ASIDE in content.slots and len(content.slots) == 1:
            # A citation or a result goes as one: half of it would be another.
            said[ASIDE] = self._parts.pop(id(event), "") + said.get(ASIDE, "")
            if not last:
                self._parts[id(event)] = said[ASIDE]
                return None
        return self._rewritten(event, content, said)

    def settled(self, event: Event, sent: Mapping[Key, str]) -> Event:
        """The event as it may leave."""
        return self._left.settled(event)

    def without(self, event: Event, choices: Set[int]) -> Event | None:
        """The event, unless the one choice was stopped."""
        return None if 0 in choices else event

    def stopped(self, choice: int, ruling: Ruling) -> list[Event]:
        """The open block is closed, the reply is a block of its own, and the answer ends as one that was withheld."""
        return self._left.stopped(ruling)

    def ended(self) -> list[Event]:
        """What is missing of a proper end: nothing after `stopped`."""
        return self._left.ended()

    def choices(self) -> int:
        """This API has one choice."""
        return 1

    def fault(self, fault: Fault) -> list[Event]:
        """The event that tells an error; nothing comes after it."""
        self._left.over = True
        return [made(self._fault(fault))]

    def whole(self, response: Json) -> list[Event]:
        """A stream that says what a whole answer says."""
        return message_events(response)

    def noted(self, event: Event, wardlaw: Json) -> Event:
        """A copy of an event with the object `wardlaw` added. `message_stop` is left alone: the official client's
        helper for streams makes that event anew, and what it does not know is lost."""
        if event.data is not None and event.data.get("type") == "message_stop":
            return event
        return again(event, {**(event.data or {}), "wardlaw": wardlaw})

    def _begin(self, data: Json) -> None:
        index, block = data.get("index"), data.get("content_block")
        kind = block.get("type") if isinstance(block, dict) else None
        if not isinstance(index, int) or index in self._blocks or not isinstance(kind, str):
            raise ValueError("content_block_start: no block with a `type`, or one that has begun before")
        self._blocks[index] = self._channels.of(kind)

    def _content(self, data: Json) -> Content:
        """The texts of an event other than a plain delta."""
        kind, content = data.get("type"), Content()
        if kind == "content_block_start":
            block: Json = data["content_block"]
            if isinstance(block.get("name"), str) and block["name"] in self._tools:  # it came from the request
                block = {key: value for key, value in block.items() if key != "name"}
            follows = not block.get("input")  # piece by piece
            if follows and block["type"] in CALLS:
                block = {**block, "input": {}}
            read_block(block, ("content_block",), self._blocks[data["index"]], content)
            if follows and block["type"] in CALLS:
                content.slots = {channel: slots for channel, slots in content.slots.items() if channel == ASIDE}
            content.add(ASIDE, _beside(data, "content_block", "index"))
        elif kind == "content_block_delta":
            content.add(ASIDE, leaves(data["delta"], ("delta",)))
        elif kind == "message_start":
            if not isinstance(data.get("message"), dict):
                raise ValueError("message: no object")
            content = read_content(data["message"], ("message",))
            content.add(ASIDE, _beside(data, "message"))
        elif kind == "message_delta":
            given = data.get("delta")
            if not isinstance(given, dict):
                raise ValueError("delta: no object")
            ending = {key: value for key, value in given.items() if key != "container"}
            content.add(ASIDE, leaves(ending, ("delta",)))
            content.add(ASIDE, _beside(data, "delta", "usage", "context_management", "input_transformations"))
        else:
            content.add(ASIDE, leaves(data, ()))
        return content

    def _piece(
        self, event: Event, index: int, original: str, said: Mapping[Channel, str], *, last: bool
    ) -> Event | None:
        """A delta with another text, or with a part of its own."""
        channel = self._blocks[index]
        if channel is None:
            return None
        text = said.get(channel, "")
        if channel.kind == "reasoning":
            whole = self._parts.pop(id(event), "") + text
            if not last:
                self._parts[id(event)] = whole
            elif whole != original:
                self._left.changed.add(index)
        return delta(index, channel.kind, text) if text else None

    def _rewritten(self, event: Event, content: Content, said: Mapping[Channel, str]) -> Event:
        changes: list[tuple[Slot, str]] = []
        for channel, slots in content.slots.items():
            text = said.get(channel, "")
            if channel == ASIDE:
                text = text.removesuffix("\n")
            # Blocks have their numbers in a stream: none is taken out.
            fixed = [slot if slot.kind in ("input", "key") else replace(slot, kind="value") for slot in slots]
            changes += zip(fixed, spread(slots, joiner(channel), text), strict=True)
        if all(slot.text == text for slot, text in changes):
            return event
        return again(event, replaced(event.data or {}, changes))


def _beside(value: Json, *known: str) -> list[Slot]:
    """Texts in parts of an object that the API does not know."""
    return leaves({key: each for key, each in value.items() if key not in known}, ())
