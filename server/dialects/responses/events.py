"""The kinds of events that a stream is made of, and where each has its text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from guard.guarding.incoming import Unscannable
from server.dialects._events import event
from server.dialects._leaves import Leaf, Path, written
from server.dialects._logprobs import told_beside
from server.dialects.base import Json
from server.dialects.responses.items import Found, Group, look, look_name, look_part, look_value
from server.dialects.responses.lanes import Key
from server.dialects.responses.response import ASIDE, Said, Seen, see
from server.upstreams.base import Event


@dataclass(frozen=True, slots=True)
class Spot:
    """Where the text of an event stands in its item."""

    group: Group
    names: Path
    """The list of parts, or the member itself."""
    counts: str = ""
    """The event's member that says which part; empty where the text is a member of the item."""
    last: str = ""
    """The part's member that is the text."""

    def path(self, data: Mapping[str, Any]) -> Path:
        """The text's place in its item.

        Raises:
            ValueError: the event does not say which part it means.
        """
        if not self.counts:
            return self.names
        place = data.get(self.counts)
        if type(place) is not int or place < 0:
            raise ValueError(f"{self.counts}: not a count")
        return (*self.names, place, self.last) if self.last else (*self.names, place)


_TEXT = Spot("said", ("content",), "content_index", "text")
_REFUSAL = Spot("refusal", ("content",), "content_index", "refusal")
_THOUGHT = Spot("thought", ("content",), "content_index", "text")
_SUMMARY = Spot("summary", ("summary",), "summary_index", "text")
_ARGUMENTS = Spot("call", ("arguments",))
_INPUT = Spot("call", ("input",))
_CODE = Spot("call", ("code",))
_COMMAND = Spot("call", ("action", "commands"), "command_index")
_TRANSCRIPT = Spot("note", ("transcript",))

DELTAS: dict[object, Spot] = {
    "response.output_text.delta": _TEXT,
    "response.refusal.delta": _REFUSAL,
    "response.reasoning_text.delta": _THOUGHT,
    "response.reasoning_summary_text.delta": _SUMMARY,
    "response.function_call_arguments.delta": _ARGUMENTS,
    "response.custom_tool_call_input.delta": _INPUT,
    "response.mcp_call_arguments.delta": _ARGUMENTS,
    "response.code_interpreter_call_code.delta": _CODE,
    "response.shell_call_command.delta": _COMMAND,
    "response.audio.transcript.delta": _TRANSCRIPT,
}
"""Events that carry a piece of a text, as `delta`."""

DONES: dict[object, tuple[Spot, str]] = {
    "response.output_text.done": (_TEXT, "text"),
    "response.refusal.done": (_REFUSAL, "refusal"),
    "response.reasoning_text.done": (_THOUGHT, "text"),
    "response.reasoning_summary_text.done": (_SUMMARY, "text"),
    "response.function_call_arguments.done": (_ARGUMENTS, "arguments"),
    "response.custom_tool_call_input.done": (_INPUT, "input"),
    "response.mcp_call_arguments.done": (_ARGUMENTS, "arguments"),
    "response.code_interpreter_call_code.done": (_CODE, "code"),
    "response.shell_call_command.added": (_COMMAND, "command"),
    "response.shell_call_command.done": (_COMMAND, "command"),
}
"""Events that repeat a whole text, and the member that is it."""

DELTA_MEMBERS = frozenset(
    "type sequence_number output_index content_index summary_index command_index item_id delta logprobs"
    " obfuscation".split()
)


def is_plain(data: Mapping[str, Any]) -> bool:
    """Whether an event is one of `DELTAS` with nothing in it to read but its delta; anything else is looked at."""
    kind = data.get("type")
    if type(kind) is not str or kind not in DELTAS or not data.keys() <= DELTA_MEMBERS:
        return False
    probable = data.get("logprobs")
    if probable and told_beside(probable, data.get("delta") or "") != "":
        return False
    padding = data.get("obfuscation")
    if padding is None or padding == "":
        return True
    return type(padding) is str and len(padding) <= 64 and padding.isascii() and padding.isalnum()


LIFE = frozenset(
    f"response.{state}" for state in ("created", "queued", "in_progress", "completed", "incomplete", "failed")
)
"""Events that carry the answer as it is so far."""
FINAL = frozenset({"response.completed", "response.incomplete", "response.failed"})
ADDED, DONE = "response.output_item.added", "response.output_item.done"
_PARTS = {
    "response.content_part.added": ("content", "content_index"),
    "response.content_part.done": ("content", "content_index"),
    "response.reasoning_summary_part.added": ("summary", "summary_index"),
    "response.reasoning_summary_part.done": ("summary", "summary_index"),
}
_SHELL_DELTA, _SHELL_DONE = "response.shell_call_output_content.delta", "response.shell_call_output_content.done"
_ANNOTATION = "response.output_text.annotation.added"
_STATES = frozenset(
    [
        f"response.{tool}.{state}"
        for tool in ("web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call",
                     "mcp_call", "mcp_list_tools")
        for state in ("in_progress", "searching", "interpreting", "generating", "completed", "failed")
    ]
    + ["response.audio.done", "response.audio.transcript.done", "response.compaction.compacting", "keepalive", "error"]
)  # fmt: skip
_BEGINNINGS = frozenset(
    [
        *(LIFE - FINAL),
        ADDED,
        "response.content_part.added",
        "response.reasoning_summary_part.added",
        "response.shell_call_command.added",
    ]
)
_FILES = {"response.image_generation_call.partial_image": "partial_image_b64", "response.audio.delta": "delta"}
_COUNTS = ("output_index", "content_index", "summary_index", "command_index", "annotation_index")
_NEEDED = frozenset({"command_index", "annotation_index"})


@dataclass(slots=True)
class Look:
    """What stands in an event."""

    seen: Seen
    grows: bool = False
    """Whether its texts are pieces that are added to others."""
    open: bool = False
    """Whether more of its texts may come."""


def spot_of(kind: object) -> Spot | None:
    """Where an event of a kind has its text; None where it has none, or several."""
    done = DONES.get(kind)
    return done[0] if done else DELTAS.get(kind)


def part_of(data: Mapping[str, Any]) -> tuple[str, int] | None:
    """The list and the place of the part that an event begins or ends."""
    names = _PARTS.get(str(data.get("type")))
    if names is None:
        return None
    place = data.get(names[1])
    if type(place) is not int or place < 0:
        raise ValueError(f"{names[1]}: not a count")
    return names[0], place


def item_of(data: Mapping[str, Any]) -> int:
    """Which item an event is about.

    Raises:
        ValueError: it does not say so.
    """
    place = data.get("output_index")
    if type(place) is not int or place < 0:
        raise ValueError("output_index: not a count")
    return place


def look_at(data: Json, places: Mapping[str, int], nth: int) -> Look:
    """All texts in an event, with the places in their items, and what in it cannot be read.

    Args:
        data: the event's.
        places: item id -> which item it is.
        nth: a number that no other event of the stream has.

    Raises:
        ValueError: it has not the shape of an event of its kind.
    """
    kind = data.get("type")
    if not isinstance(kind, str):
        raise ValueError("type: missing, or not a string")
    for name in _COUNTS:
        if type(data.get(name, 0)) is not int and (data[name] is not None or name in _NEEDED):
            raise ValueError(f"{name}: not a count")
    found, taken = _Gathered(), {"type", "sequence_number", *_COUNTS}
    if kind in LIFE:
        response = data.get("response")
        if not isinstance(response, dict):
            raise ValueError("response: not an object")
        seen = see(response, places, ("response",))
        found.texts, found.opaque, taken = seen.texts, seen.opaque, taken | {"response"}
    elif kind in (ADDED, DONE):
        item = data.get("item")
        if not isinstance(item, dict):
            raise ValueError("item: not an object")
        found.take(look(item), item_of(data), ("item",), 0)
        taken.add("item")
    elif kind in _PARTS and (where := part_of(data)):
        inner = Found()
        look_part(data.get("part"), where, inner, "summary" if where[0] == "summary" else "said")
        found.take(inner, item_of(data), ("part",), len(where))
        taken.add("part")
    elif kind in DELTAS or kind in DONES:
        spot, member = DONES.get(kind) or (DELTAS[kind], "delta")
        text = data.get(member)
        if not isinstance(text, str):
            raise ValueError(f"{member}: not a string")
        item_place = ASIDE if spot is _TRANSCRIPT else item_of(data)
        at: Path = spot.path(data)
        found.texts.append(Said((item_place, at), spot.group, Leaf((member,), text)))
        taken.add(member)
        beside = told_beside(data.get("logprobs"), text)
        if beside:
            found.texts.append(Said((item_place, (*at[:-1], "logprobs")), "note", Leaf(("logprobs",), beside)))
        if beside is not None:
            taken.add("logprobs")
    elif kind == _ANNOTATION:
        at = ("content", data.get("content_index", 0), "annotations", data.get("annotation_index", 0))
        inner = Found()
        look_value(data.get("annotation"), at, inner, "note")
        found.take(inner, item_of(data), ("annotation",), len(at))
        taken.add("annotation")
    elif kind in (_SHELL_DELTA, _SHELL_DONE):
        name = "delta" if kind == _SHELL_DELTA else "output"
        listed = data.get(name) if isinstance(data.get(name), list) else [data.get(name)]
        for place, value in enumerate(listed or ()):
            at = ("output", data.get("command_index", 0) + place)
            inner = Found()
            look_value(value, at, inner, "note")
            found.take(inner, item_of(data), (name,) if name == "delta" else (name, place), len(at))
        taken.add(name)
    elif kind in _FILES:
        found.unread(_FILES[str(kind)], str(kind))
        taken.add(_FILES[str(kind)])
    elif kind not in _STATES:
        found.unread("event", str(kind))
    rest = Found()
    for name, value in data.items():
        look_name(name, (), rest, "note")
        if name not in taken:
            look_value(value, (name,), rest, "note")
    for leaf, group in rest.slots:
        found.texts.append(Said((ASIDE, ("event", nth, *leaf.path)), group, leaf))
    for path, what in rest.opaque:
        found.unread(what, str(path[0]))
    grows = kind in DELTAS or kind == _SHELL_DELTA
    return Look(found, grows, open=grows or kind in _BEGINNINGS)


class _Gathered(Seen):
    __slots__ = ()

    def __init__(self) -> None:
        super().__init__([], [])

    def take(self, found: Found, item: int, where: Path, cut: int) -> None:
        """Add what was found in a piece of an item, which stands in the event without `cut` steps of its path."""
        for leaf, group in found.slots:
            key: Key = (item, leaf.path)
            self.texts.append(Said(key, group, Leaf((*where, *leaf.path[cut:]), leaf.text, leaf.is_name)))
        for path, what in found.opaque:
            self.opaque.append(Unscannable(written(("output", item, *path)), what))

    def unread(self, what: str, where: str) -> None:
        self.opaque.append(Unscannable(where, what))


def told(data: Json) -> Event:
    """An event that carries an object."""
    return event(data, str(data.get("type", "")))
