"""Slots: where in a JSON object a text stands, so that it can be read there and later be replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from copy import copy
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from guard.guarding.incoming import Unscannable
from server.dialects._leaves import Json, Path, anywhere, wordy, written

OPAQUE = frozenset(
    "type id role model object signature tool_use_id encrypted_content encrypted_stdout encrypted_index ttl "
    "media_type stop_reason file_id tool_id".split()
)
"""Keys whose values the provider makes and only it can read, or that come from a closed list."""

_FILES = frozenset("image container_upload code_execution_output bash_code_execution_output base64 url file".split())
_DATA = frozenset({"data"})
_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Slot:
    """One text and its place."""

    path: Path
    text: str
    kind: Literal["value", "block", "thinking", "input", "key"] = "value"
    """What a replacement does: `value` sets the string; `block` sets the text of a block, which goes where nothing of
    it is left; `thinking` removes the block, since its signature vouches for what it said; `input` sets an object from
    its JSON; `key` renames a key."""


def leaves(value: object, path: Path, *, says: Callable[[str], bool] = wordy) -> list[Slot]:
    """Every string in a value, in order, however deep.

    Args:
        value: any JSON.
        path: where it stands.
        says: whether the name of a member is a text too.

    Raises:
        Tangled: it has more parts than can be looked through.
    """
    found = anywhere(value, path, sealed=OPAQUE, says=says, closed=_encoded)
    return [Slot(leaf.path, leaf.text, "key" if leaf.is_name else "value") for leaf in found]


def _encoded(_: Path, value: Json) -> AbstractSet[str]:
    return _DATA if value.get("type") in ("base64", "redacted_thinking") else _NONE


def files(value: object, path: Path) -> list[Unscannable]:
    """What in a value is no text: images, files, addresses of either.

    Raises:
        Tangled: it has more parts than can be looked through.
    """
    found: list[Unscannable] = []

    def note(at: Path, each: Json) -> AbstractSet[str]:
        kind = each.get("type")
        if not isinstance(kind, str) or kind not in _FILES:
            return _NONE
        found.append(Unscannable(written(at), kind))
        return each.keys()

    for _ in anywhere(value, path, closed=note):
        pass
    return found


def joined(slots: Sequence[Slot], joiner: str) -> str:
    """The text that the slots make together."""
    return joiner.join(slot.text for slot in slots)


def spread(slots: Sequence[Slot], joiner: str, text: str) -> list[str]:
    """A new text handed out to the slots that the old one came from.

    Lines go back to where they came from if there are still as many; else what is unchanged at the beginning and the
    end stays where it is, and the first slot in between takes all the rest.
    """
    if len(slots) == 1:
        return [text]
    lines = text.split("\n")
    counts = [slot.text.count("\n") + 1 for slot in slots]
    if joiner == "\n" and sum(counts) == len(lines):
        said, at = [], 0
        for count in counts:
            said.append("\n".join(lines[at : at + count]))
            at += count
        return said
    old = joined(slots, joiner)
    same = min(len(old), len(text))
    head = _most(same, lambda size: old[:size] == text[:size])
    tail = _most(same - head, lambda size: old[len(old) - size :] == text[len(text) - size :])
    said, start, taken = [], 0, False
    ends = []
    for slot in slots:
        ends.append((start, start + len(slot.text)))
        start += len(slot.text) + len(joiner)
    touched = [place for place, (low, high) in enumerate(ends) if high > head and low < len(old) - tail]
    first, last = (touched[0], touched[-1]) if touched else (0, 0)
    for place, slot in enumerate(slots):
        if not first <= place <= last:
            said.append(slot.text)
        elif taken:
            said.append("")
        else:
            after = len(old) - ends[last][1]
            said.append(text[ends[place][0] : len(text) - after])
            taken = True
    return said


def _most(limit: int, holds: Callable[[int], bool]) -> int:
    """The largest size up to a limit for which something holds that holds for all smaller ones; it holds for 0."""
    least = 0
    while least < limit:
        size = (least + limit + 1) // 2
        if holds(size):
            least = size
        else:
            limit = size - 1
    return least


def replaced(value: Json, changes: Iterable[tuple[Slot, str]]) -> Json:
    """A copy of an object with other texts in some slots. Only what lies on the way to them is copied."""
    made = _Copy(value)
    gone: set[Path] = set()
    keys: list[tuple[Path, str]] = []
    uncited: list[Json] = []
    for slot, text in changes:
        if text == slot.text:
            continue
        if slot.kind == "key":
            keys.append((slot.path, text))
            continue
        place, last = slot.path[:-1], slot.path[-1]
        holder = made.at(place)
        holder[last] = _object(text) if slot.kind == "input" else text
        if slot.kind == "block":
            uncited.append(holder)
        if slot.kind == "thinking" or (slot.kind == "block" and not text):
            gone.add(place)
    for holder in uncited:  # citations quote, and point into, a text that is no more
        holder.pop("citations", None)
    # From the inmost on, so that the paths of those outside still lead to them.
    for path, text in sorted(keys, key=lambda each: -len(each[0])):
        _rename(made.at(path[:-1]), str(path[-1]), text)
    for place in sorted(gone, key=lambda each: int(each[-1]), reverse=True):
        blocks = made.at(place[:-1])
        if len(blocks) > 1:
            del blocks[place[-1]]
        else:  # no turn may be without a block
            blocks[0] = {"type": "text", "text": blocks[0].get("thinking") or blocks[0].get("text") or ""}
    return made.value


class _Copy:
    """A copy that is made where it is written to; a deep one would be bound to the interpreter's stack."""

    def __init__(self, value: Json) -> None:
        self.value = dict(value)
        self._own = {id(self.value)}

    def at(self, path: Path) -> Any:
        """What stands at a path, to be written to."""
        holder: Any = self.value
        for step in path:
            inner = holder[step]
            if id(inner) not in self._own:
                inner = holder[step] = copy(inner)
                self._own.add(id(inner))
            holder = inner
        return holder


def _object(text: str) -> Json:
    """A tool's input as it reads now. Where a mask has broken the JSON, an input that no tool takes for a real one."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = None
    return value if isinstance(value, dict) else {"withheld": text}


def _rename(value: Json, old: str, new: str) -> None:
    items = [(new if key == old else key, inner) for key, inner in value.items()]
    value.clear()
    value.update(items)
