"""Chunks: cut down to what may leave of them, and made from whole choices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from guard.window.outcomes import Channel
from server.dialects._leaves import Path, Rewriting, identifier
from server.dialects.base import Json
from server.dialects.chat_completions.fields import KNOWN_AROUND, NUMBERS, TOKENS, TOLD_AT_THE_END, Slot

_SHARED = ("id", "object", "created", "model", "system_fingerprint", "service_tier")
_REPEATING = ("logprobs", NUMBERS)


def cut(
    data: Json,
    slots: Sequence[tuple[int, Slot]],
    texts: Mapping[tuple[int, Channel], str],
    *,
    first: bool,
    last: bool,
) -> Json | None:
    """A chunk with other texts; see `Streamed.cut`.

    Args:
        data: the chunk.
        slots: choice and text, for all its texts.
        texts: what stands in their place. Of several texts in one channel the first takes it all.
        first: whether it is the chunk's first piece.
        last: whether it is its last.
    """
    left = dict(texts)
    new = [(slot, left.pop((choice, slot.channel), "")) for choice, slot in slots]
    made = _first(data, new) if first else _later(data, new)
    choices = []
    for choice, came in zip(made["choices"], data["choices"], strict=True):
        for name in TOLD_AT_THE_END & came.keys():
            choice[name] = came[name] if last else None
        for name in _REPEATING:
            if name in came:
                choice[name] = None
        if choice.get("delta") or choice.get("finish_reason") is not None:
            choices.append(choice)
    made["choices"] = choices
    if "usage" in data:
        made["usage"] = data["usage"] if last else None
    beside = any(value is not None for name, value in made.items() if name not in KNOWN_AROUND)
    return made if choices or beside or made.get("usage") is not None else None


def without(data: Json, choices: AbstractSet[int], around: Iterable[Any]) -> Json | None:
    """A chunk without some choices, and without the members `around`; see `Streamed.without`."""
    gone = set(around)
    kept = [choice for choice in data["choices"] if choice.get("index", 0) not in choices]
    if len(kept) == len(data["choices"]) and not gone:
        return data
    if not kept and data["choices"]:
        return None
    return {name: value for name, value in data.items() if name not in gone} | {"choices": kept}


def told(choice: Json, index: int, *, role: bool) -> Iterator[Json]:
    """The choices of the chunks that say what a whole choice says.

    Args:
        choice: of a whole answer.
        index: which one it is to be.
        role: whether the first one tells the role.
    """
    message = choice["message"]
    logprobs = choice.get("logprobs")
    said = {name: value for name, value in message.items() if name != "role" and value is not None and value != ""}
    if role:
        opening = {"role": message.get("role", "assistant"), "content": ""}
        yield {"index": index, "delta": opening, "logprobs": None, "finish_reason": None}
    for name, value in said.items():
        if name == "tool_calls":
            value = [{"index": place, **call} for place, call in enumerate(value)]
        with_it = logprobs if name in {"content", "refusal"} else None
        yield {"index": index, "delta": {name: value}, "logprobs": with_it, "finish_reason": None}
        logprobs = None if with_it is not None else logprobs
    rest = {name: value for name, value in choice.items() if name not in {"message", "logprobs", "index"}}
    yield {"index": index, "delta": {}, "logprobs": None, "finish_reason": None, **rest}


def _first(data: Json, new: Iterable[tuple[Slot, str]]) -> Json:
    """All of a chunk, its texts replaced."""
    copy = Rewriting(data)
    for slot, text in new:
        if slot.channel == TOKENS or text == slot.leaf.text:
            continue
        copy.unsign(slot.leaf.path)
        if text:
            copy.write(slot.leaf, text)
        elif type(slot.leaf.path[-1]) is str:
            copy.drop(slot.leaf.path)
        else:
            copy.put(slot.leaf.path, "")
    made = copy.done()
    made["choices"] = [dict(choice) for choice in made["choices"]]
    made.pop("obfuscation", None)  # it hides the length that the chunk had
    return made


def _later(data: Json, new: Sequence[tuple[Slot, str]]) -> Json:
    """Nothing but the texts of a chunk, each in its place."""
    choices: list[Json] = [{"index": choice.get("index", 0), "delta": {}} for choice in data["choices"]]
    made: Json = {**{name: data[name] for name in _SHARED if name in data}, "choices": choices}
    built: dict[Path, Any] = {("choices",): choices}
    for place, choice in enumerate(choices):
        built["choices", place] = choice
        built["choices", place, "delta"] = choice["delta"]
    # Names that are texts themselves have left with the first piece, or may not leave.
    named = {slot.leaf.path for slot, _ in new if slot.leaf.is_name}
    for slot, text in new:
        path = slot.leaf.path
        if text and slot.channel != TOKENS and not any(path[:end] in named for end in range(len(path) + 1)):
            _build(made, built, data, path, text)
    return made


def _build(made: Json, built: dict[Path, Any], data: Json, path: Path, text: str) -> None:
    """Put a text at a path, with as much round it as is needed to say where it belongs."""
    holder: Any = made
    came: Any = data
    for place, step in enumerate(path):
        here = path[: place + 1]
        came = came[step]
        if here not in built:
            if place == len(path) - 1:
                built[here] = text
            elif type(came) is list:
                built[here] = []
            else:
                # An entry of a list is known by its index, a part of the content by its type; a call has told its own.
                known = ("index",) if "tool_calls" in path else ("index", "type")
                built[here] = {name: came[name] for name in known if type(step) is int and _tells_place(came.get(name))}
            if isinstance(holder, list):
                holder.append(built[here])
            else:
                holder[step] = built[here]
        holder = built[here]


def _tells_place(value: object) -> bool:
    """Whether a value says which entry of a list is meant, and nothing else."""
    return type(value) is int or identifier(value)
