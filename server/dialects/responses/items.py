"""Where the texts of an item stand: messages, reasoning, calls of tools and what these gave back.

Requests, answers and the events of streams carry the same items. Whatever kind an item is of, every string in it is
found: the kinds that are known say which string is what, and all other strings count as text, but for words of the
machine (ids, kinds, states), which must look like such.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

from server.dialects._leaves import Leaf, Path, anywhere, embedded, member
from server.dialects._logprobs import told_beside

Group: TypeAlias = Literal["said", "refusal", "thought", "summary", "call", "note"]
"""What a text is: of a message, a refusal, reasoning, its summary, what a tool is called with, and anything else, such
as what a tool gave back, or the title of a source. The last two go by item; the texts of the others follow each other
through a whole answer."""

_WORD = re.compile(r"[\w.:/+=|@~-]{0,512}", re.ASCII)
_SEALED = re.compile(r"[\w.:/+=~-]*", re.ASCII)
_MACHINE = frozenset(
    "id type status role object call_id item_id response_id container_id file_id approval_request_id phase name"
    " server_label namespace fingerprint execution created_by caller_id background quality size output_format detail"
    " mode outcome effort ttl obfuscation format code model action service_tier truncation".split()
)
_NAMES = frozenset({"name", "model", "server_label", "namespace"})
_PART_TEXTS: dict[object, tuple[str, Group]] = {
    "output_text": ("text", "said"),
    "input_text": ("text", "said"),
    "text": ("text", "said"),
    "refusal": ("refusal", "refusal"),
    "reasoning_text": ("text", "thought"),
    "summary_text": ("text", "summary"),
}
# Parts that no detector can read, and the members that hold what cannot be read.
_MEDIA: dict[object, frozenset[str]] = {
    "input_image": frozenset({"image_url", "file_id"}),
    "input_file": frozenset({"file_data", "file_url", "file_id"}),
    "input_audio": frozenset({"input_audio", "data", "audio"}),
    "output_audio": frozenset({"data", "audio"}),
    "computer_screenshot": frozenset({"image_url", "file_id"}),
    "image": frozenset({"url", "image_url", "file_id"}),
    "image_generation_call": frozenset({"result"}),
}
# What a tool gives back: the rest of a tool's item is what it is called with.
_GIVEN = frozenset({"output", "outputs", "result", "results", "error", "sources", "tools", "logs", "reason"})
_ALL_GIVEN = frozenset({"mcp_list_tools", "mcp_approval_response", "additional_tools", "tool_search_output"})
_CALLS = frozenset({"mcp_approval_request", "program"})


class Slot(NamedTuple):
    """A text in an item."""

    leaf: Leaf
    """With its path within the item."""
    group: Group


class Opaque(NamedTuple):
    """Something in an item that cannot be read."""

    path: Path
    what: str


@dataclass(slots=True)
class Found:
    """What stands in an item."""

    slots: list[Slot] = field(default_factory=list)
    opaque: list[Opaque] = field(default_factory=list)


def look(item: dict[str, Any], path: Path = ()) -> Found:
    """All texts of an item, in order, and what in it cannot be read, whatever the item looks like.

    Sealed reasoning and compacted turns (`encrypted_content`) are passed over where they look sealed: only the provider
    that wrote them can read or forge them.

    Raises:
        Tangled: it has more parts than can be looked through.
    """
    found = Found()
    kind = item.get("type", "message" if "role" in item else None)
    if kind == "message":
        _look_message(item, path, found)
    elif kind == "reasoning":
        for name, group in (("summary", "summary"), ("content", "thought")):
            parts = item.get(name)
            for place, part in enumerate(parts if isinstance(parts, list) else []):
                look_part(part, (*path, name, place), found, "summary" if group == "summary" else "thought")
            if isinstance(parts, str) and parts:
                found.slots.append(Slot(Leaf((*path, name), parts), "summary" if group == "summary" else "thought"))
        _look_rest(item, path, found, "note", frozenset({"summary", "content"}), kind)
    else:
        _look_tool(item, path, found, kind)
    return found


def look_part(part: object, path: Path, found: Found, group: Group = "said") -> None:
    """The texts of one content part.

    Args:
        part: the part.
        path: where it stands.
        found: gets what is found.
        group: what a text is where the part itself does not say so.
    """
    if isinstance(part, str):
        if part:
            found.slots.append(Slot(Leaf(path, part), group))
        return
    if not isinstance(part, dict):
        return
    kind = part.get("type")
    name, own = _PART_TEXTS.get(kind, ("", group)) if isinstance(kind, str) else ("", group)
    if own == "said" or (own == "summary" and group == "thought"):
        own = group
    said = part.get(name)
    if isinstance(said, str):
        if said:
            found.slots.append(Slot(Leaf((*path, name), said), own))
    elif said is not None:
        found.slots += [Slot(leaf, own) for leaf in anywhere(said, (*path, name))]
    # Log-probabilities go with the text that they tell of; where they tell another, they are a text themselves.
    beside = told_beside(part.get("logprobs"), said if isinstance(said, str) else "")
    if beside:
        found.slots.append(Slot(Leaf((*path, "logprobs"), beside), "note"))
    _look_rest(part, path, found, "note", frozenset({name} if beside is None else {name, "logprobs"}), kind)


def _look_message(item: dict[str, Any], path: Path, found: Found) -> None:
    content = item.get("content")
    if isinstance(content, list):
        for place, part in enumerate(content):
            look_part(part, (*path, "content", place), found)
    elif isinstance(content, str):
        if content:
            found.slots.append(Slot(Leaf((*path, "content"), content), "said"))
    elif content is not None:
        found.slots += [Slot(leaf, "said") for leaf in anywhere(content, (*path, "content"))]
    _look_rest(item, path, found, "note", frozenset({"content"}), "message")


def _look_tool(item: dict[str, Any], path: Path, found: Found, kind: object) -> None:
    calls = isinstance(kind, str) and (kind.endswith("_call") or kind in _CALLS)
    media = _media(item, kind, path, found)
    for name, value in item.items():
        look_name(name, path, found, "call" if calls else "note")
        if name in media:
            continue
        if calls and name == "name" and isinstance(value, str):
            # The model makes it up if it likes; it is a text of its own, since what a tool is called with is JSON.
            if value:
                found.slots.append(Slot(Leaf((*path, name), value), "note"))
            continue
        given = not calls or name in _GIVEN or kind in _ALL_GIVEN
        group: Group = "note" if given else "call"
        # A plain string that stands at the top is the call or the answer itself, whatever it looks like.
        if isinstance(value, str) and name in ("arguments", "input", "code", "output", "result"):
            if value:
                found.slots.append(Slot(Leaf((*path, name), value), group))
        else:
            look_value(value, (*path, name), found, group)


def _look_rest(
    value: dict[str, Any], path: Path, found: Found, group: Group, skip: frozenset[str], kind: object
) -> None:
    media = _media(value, kind, path, found)
    for name, each in value.items():
        look_name(name, path, found, group)
        if name not in skip and name not in media and each.__class__ not in _SILENT:
            look_value(each, (*path, name), found, group)


def look_name(name: str, path: Path, found: Found, group: Group) -> None:
    """A member's name is a text where it is more than a word of the machine."""
    if _wordy(name):
        found.slots.append(Slot(Leaf((*path, name), name, is_name=True), group))


def _wordy(name: str) -> bool:
    return not _WORD.fullmatch(name)


_SILENT = frozenset({int, float, bool, type(None)})


def look_value(value: object, path: Path, found: Found, group: Group) -> None:
    """Every text at or below a value; what is plainly a file is noted as such.

    Raises:
        Tangled: it has more parts than can be looked through.
    """

    def media(at: Path, each: dict[str, Any]) -> frozenset[str]:
        return _media(each, each.get("type"), at, found)

    for leaf in anywhere(value, path, says=_wordy, closed=media):
        name = member(leaf.path)
        if leaf.is_name:
            found.slots.append(Slot(leaf, group))
        elif embedded(leaf.text):
            found.opaque.append(Opaque(leaf.path, name))
        elif not machine(name, leaf.text):
            found.slots.append(Slot(leaf, group))


def machine(name: str, value: str) -> bool:
    """Whether a string is a word of the machine, an id or a state, and says nothing to a reader."""
    if name == "encrypted_content":
        return _SEALED.fullmatch(value) is not None
    return name in _MACHINE and len(value) <= (128 if name in _NAMES else 512) and _WORD.fullmatch(value) is not None


def _media(value: dict[str, Any], kind: object, path: Path, found: Found) -> frozenset[str]:
    """The members of a part that hold what cannot be read, which is noted."""
    members = _MEDIA.get(kind, frozenset()) if isinstance(kind, str) else frozenset()
    if members and any(value.get(name) for name in members):
        found.opaque.append(Opaque(path, str(kind)))
    return members


def parts_of(item: dict[str, Any]) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """The parts of a message or of reasoning: list, place, part."""
    for name in ("summary", "content"):
        parts = item.get(name)
        if isinstance(parts, list):
            yield from ((name, place, part) for place, part in enumerate(parts) if isinstance(part, dict))
