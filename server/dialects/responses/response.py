"""Whole answers: their texts, and an answer carried out as the guard has ruled."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from guard.guarding.incoming import Answer, Unscannable
from guard.guarding.rulings import Ruling
from guard.window.outcomes import Channel
from server.dialects._leaves import Leaf, Path, Rewriting, apart, written
from server.dialects.base import Ending, Json
from server.dialects.responses.items import Found, Group, look, look_name, look_value, machine
from server.dialects.responses.lanes import Key, Lanes, Text

ASIDE = -1
"""Stands for the item where a text is in none: an error's message, or a member that is not known."""

# What an answer repeats of its request, which was read when it came, and settings.
_ECHOED = frozenset(
    "id object created_at completed_at status instructions metadata model tools tool_choice text prompt user"
    " safety_identifier prompt_cache_key prompt_cache_options prompt_cache_retention reasoning background conversation"
    " previous_response_id parallel_tool_calls max_output_tokens max_tool_calls temperature top_p top_logprobs"
    " truncation service_tier store image access_programs billing".split()
)


class Said(NamedTuple):
    """A text somewhere in an answer."""

    key: Key
    group: Group
    leaf: Leaf
    """With its path from the answer's top."""


@dataclass(slots=True)
class Seen:
    """What stands in an answer."""

    texts: list[Said]
    opaque: list[Unscannable]


def see(response: Mapping[str, Any], places: Mapping[str, int] | None = None, under: Path = ()) -> Seen:
    """Every text of an answer that a client could read, in order.

    Args:
        response: the answer.
        places: which item an id stands for, where that is known; else an item's place in the list says so.
        under: where the answer stands.

    Raises:
        ValueError: it has not the shape of an answer.
    """
    output = response.get("output")
    if output is not None and not isinstance(output, list):
        raise ValueError("output: not a list")
    seen = Seen([], [])
    for place, item in enumerate(output or ()):
        if not isinstance(item, dict):
            raise ValueError(f"output[{place}]: not an object")
        index = places.get(str(item.get("id", "")), place) if places else place
        _add(seen, look(item), index, (*under, "output", place), written(("output", place)))
    aside = Found()
    for name, value in response.items():
        look_name(name, (), aside, "note")
        if name in _ECHOED or name in ("output", "output_text") or not isinstance(value, str | dict | list):
            continue
        if name == "incomplete_details" and isinstance(value, dict) and machine("status", str(value.get("reason"))):
            value = {**value, "reason": None}
        look_value(value, (name,), aside, "note")
    convenience = response.get("output_text")
    if isinstance(convenience, str) and convenience != text_of(response):
        look_value(convenience, ("output_text",), aside, "note")
    _add(seen, aside, ASIDE, under, "")
    return seen


def _add(seen: Seen, found: Found, item: int, path: Path, where: str) -> None:
    for leaf, group in found.slots:
        seen.texts.append(Said((item, leaf.path), group, Leaf((*path, *leaf.path), leaf.text, leaf.is_name)))
    for at, what in found.opaque:
        inner = written(at)
        joint = "" if not where or not inner or inner.startswith("[") else "."
        seen.opaque.append(Unscannable(f"{where}{joint}{inner}", what))


def text_of(response: Mapping[str, Any]) -> str:
    """All text of an answer's messages, as clients join it."""
    said: list[str] = []
    for item in response.get("output") or ():
        if isinstance(item, dict) and item.get("type") == "message" and isinstance(item.get("content"), list):
            parts = [part for part in item["content"] if isinstance(part, dict) and part.get("type") == "output_text"]
            said += [part["text"] for part in parts if isinstance(part.get("text"), str)]
    return "".join(said)


def channels(texts: Sequence[Said]) -> dict[Channel, list[Leaf]]:
    """The texts by the channels that they go through."""
    lanes, by_channel = Lanes(), dict[Channel, list[Leaf]]()
    for said in texts:
        text = Text(said.key, said.group)
        text.open = False
        channel, _ = lanes.enter(text)
        by_channel.setdefault(channel, []).append(said.leaf)
    return by_channel


def answers(response: Json) -> list[Answer]:
    """The one choice of an answer. See `Dialect.answers`."""
    if not isinstance(response.get("output"), list):
        raise ValueError("output: missing, or not a list")
    seen = see(response)
    texts = {channel: "\n".join([leaf.text for leaf in leaves]) for channel, leaves in channels(seen.texts).items()}
    return [Answer(texts, tuple(seen.opaque), response)]


def ruled(response: Json, rulings: Sequence[Ruling], ending: Ending) -> Json:
    """See `Dialect.ruled`."""
    ruling = rulings[0] if rulings else None
    if ruling is None or ruling.untouched:
        return response
    if ruling.answer is not None:
        source = ruling.answer.source
        if not isinstance(source, dict):
            raise ValueError("the answer that takes another's place has no source")
        return source
    if ruling.text is not None:
        return _replaced(response, ruling.text, ending if ruling.filtered else None)
    by_channel = channels(see(response).texts)
    changes: list[tuple[Leaf, str]] = []
    for channel, edited in ruling.edits.items():
        leaves = by_channel.get(channel, [])
        changes += zip(leaves, apart(leaves, edited) if leaves else (), strict=True)
    edited_response = rewritten(response, changes)
    if isinstance(response.get("output_text"), str):
        edited_response["output_text"] = text_of(edited_response)
    return edited_response


def rewritten(data: Json, changes: Iterable[tuple[Leaf, str]]) -> Json:
    """A copy with other texts in some places, without the log-probabilities of those that have changed."""
    copy = Rewriting(data)
    gone: list[Path | None] = []
    for leaf, text in changes:
        if text != leaf.text and not within(leaf.path, gone):
            copy.write(leaf, text)
            gone.append(bare(copy, data, leaf.path))
    return copy.done()


def bare(copy: Rewriting, data: Json, path: Path) -> Path | None:
    """Take the log-probabilities of a changed text out: they would tell what it was.

    Returns:
        where they stood, if there were any.
    """
    holder: Any = data
    for step in path[:-1]:
        holder = holder[step]
    if isinstance(holder, dict) and holder.get("logprobs"):
        copy.put((*path[:-1], "logprobs"), [])
        return (*path[:-1], "logprobs")
    return None


def within(path: Path, places: Iterable[Path | None]) -> bool:
    """Whether a path leads through one of these places."""
    return any(place is not None and path[: len(place)] == place for place in places)


def _replaced(response: Json, text: str, ending: Ending | None) -> Json:
    aside = {said.leaf.path[0] for said in see(response).texts if said.key[0] == ASIDE}
    kept = {name: value for name, value in response.items() if name not in aside}
    kept |= {"output": [message(text, ending)], "error": None, **ends(ending)}
    if "output_text" in response:
        kept["output_text"] = text_of(kept)
    return kept


def ends(ending: Ending | None) -> Json:
    """How an answer's end is told; None: it ends as any other."""
    if ending == "filter":
        return {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}
    return {"status": "completed", "incomplete_details": None}


def part(text: str, ending: Ending | None) -> Json:
    """A content part of the guard's own."""
    if ending == "refusal":
        return {"type": "refusal", "refusal": text}
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def message(text: str, ending: Ending | None) -> Json:
    """A message of the guard's own."""
    return {
        "id": f"msg_{secrets.token_hex(24)}",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [part(text, ending)],
    }


_ASKED = ("instructions", "metadata", "max_output_tokens", "max_tool_calls", "previous_response_id", "temperature",
          "top_p", "top_logprobs", "user", "safety_identifier", "prompt_cache_key", "service_tier")  # fmt: skip


def blank(body: Mapping[str, Any]) -> Json:
    """An answer to a request, in which nothing is said yet."""
    now = int(time.time())
    conversation = body.get("conversation")
    return {
        "id": f"resp_{secrets.token_hex(24)}",
        "object": "response",
        "created_at": now,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "model": str(body.get("model") or ""),
        "output": [],
        "parallel_tool_calls": body.get("parallel_tool_calls") is not False,
        "reasoning": body.get("reasoning") or {"effort": None, "summary": None},
        "store": False,
        "text": body.get("text") or {"format": {"type": "text"}},
        "tool_choice": body.get("tool_choice") or "auto",
        "tools": body.get("tools") or [],
        "truncation": body.get("truncation") or "disabled",
        "usage": None,
        "conversation": {"id": conversation} if isinstance(conversation, str) else conversation,
        **{name: body.get(name) for name in _ASKED},
        "metadata": body.get("metadata") or {},
    }


NO_USAGE: Json = {
    "input_tokens": 0,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 0,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 0,
}


_OWN = re.compile(r"resp_wl[0-9a-f]{32}(?:_(.+))?", re.DOTALL)


def before_reply(previous: object) -> object:
    """The answer before a reply of the guard, by the reply's id; any other id is given back as it is."""
    match = _OWN.fullmatch(previous) if isinstance(previous, str) else None
    return match[1] if match else previous


def reply(body: Json, text: str, ending: Ending) -> Json:
    """See `Dialect.reply`."""
    before = before_reply(body.get("previous_response_id"))
    own = f"resp_wl{secrets.token_hex(16)}" + (f"_{before}" if before else "")
    said = {
        "id": own,
        "output": [message(text, ending)],
        "usage": NO_USAGE,
        "completed_at": int(time.time()),
        **ends(ending),
    }
    return {**blank(body), **said}
