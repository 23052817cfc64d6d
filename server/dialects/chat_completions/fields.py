"""The texts of a message or a delta: each with its channel and its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from guard.guarding.incoming import Unscannable
from guard.window.outcomes import Channel
from server.dialects._leaves import Leaf, Path, anywhere, embedded, identifier, without, wordy, written
from server.dialects._logprobs import told_beside
from server.dialects.base import Json

TEXT = Channel("text")
REFUSAL = Channel("refusal")
SPOKEN = Channel("text", 1)
"""What is said in sound, written down."""
TOKENS = Channel("aside")
"""The tokens that log-probabilities are of, where they do not just repeat the text."""
AROUND = Channel("aside", 1)
"""In whole answers: texts that stand outside the choices. They go with the first."""
OTHER = Channel("aside", 2)
"""Texts of members that nobody knows; in a stream they have this channel and those behind it."""

LEGACY_CALL = 1_000_000
"""The index of a `function_call`, which has none."""

Other: TypeAlias = Callable[[Path], Channel]
"""The channel for the text of an unknown member."""

KNOWN_AROUND = frozenset(
    "id object created model system_fingerprint service_tier obfuscation usage choices provider timings p x_groq "
    "prompt_filter_results prompt_token_ids kv_transfer_params".split()
)
"""Members of an answer or chunk that say nothing, or are looked at by themselves.

Were those of the providers (`p` is Mistral's padding, `prompt_filter_results` Azure's) taken for texts, a stream would
wait for its window with each of them.
"""
TOLD_AT_THE_END = frozenset("finish_reason native_finish_reason stop_reason matched_stop".split())
"""How a choice ended. `stop_reason` and `matched_stop` repeat what the client asked to stop at."""
NUMBERS = "token_ids"
"""A member that repeats the text as numbers: it goes where the text is changed, as log-probabilities do."""
_OF_CHOICE = TOLD_AT_THE_END | {"index", "logprobs", "content_filter_results", "content_filter_offsets", NUMBERS}
KNOWN_OF_CHOICE = _OF_CHOICE | {"message"}
"""As `KNOWN_AROUND`, of a choice."""
KNOWN_OF_PIECE = _OF_CHOICE | {"delta"}
"""As `KNOWN_AROUND`, of a choice in a chunk."""

_REASONING = {name: Channel("reasoning", place) for place, name in enumerate(("reasoning_content", "reasoning"))}
_THINKING = Channel("reasoning", 2)
_DETAILS = Channel("reasoning", 3)
_OPAQUE = frozenset(
    "type id index format signature data thought_signature thought_signatures encrypted_content".split()
)
_TEXTS = {"text": "text", "output_text": "text", "refusal": "refusal"}
"""Types of content parts -> the member with their text."""


class Slot(NamedTuple):
    """A text, the channel it belongs to, and its place."""

    channel: Channel
    leaf: Leaf


@dataclass(slots=True)
class Fields:
    """What a message or a delta is made of."""

    slots: list[Slot] = field(default_factory=list)
    unscannable: list[Unscannable] = field(default_factory=list)


def name_of(call: int) -> Channel:
    """The channel of a tool call's name."""
    return Channel("tool", -1 - call)


def read_fields(said: Json, at: Path, other: Other, names: AbstractSet[str] = frozenset()) -> Fields:
    """Everything in a message or a delta that a client could read.

    Args:
        said: the message or the delta.
        at: where it stands.
        other: the channels of unknown members.
        names: of tools that the client itself defined.

    Raises:
        ValueError: it has not the shape of one.
    """
    found = Fields()
    for name, value in said.items():
        if value is None or value == "" or value == []:
            continue
        path = (*at, name)
        if name == "content":
            _content(value, path, other, found)
        elif name == "role" and identifier(value):
            continue
        elif name == "refusal" and type(value) is str:
            found.slots.append(Slot(REFUSAL, Leaf(path, value)))
        elif name in _REASONING and type(value) is str:
            found.slots.append(Slot(_REASONING[name], Leaf(path, value)))
        elif name == "thinking" and type(value) is str:
            found.slots.append(Slot(_THINKING, Leaf(path, value)))
        elif name == "reasoning_details" and type(value) is list:
            _take(found, anywhere(value, path, sealed=_OPAQUE), lambda _: _DETAILS)
        elif name == "tool_calls":
            _calls(value, path, other, names, found)
        elif name == "function_call":
            _call(value, LEGACY_CALL, path, other, names, found)
        elif name == "audio" and type(value) is dict:
            _audio(value, path, other, found)
        else:
            _unknown(name, value, path, other, found)
    return found


def read_around(holder: Json, known: AbstractSet[str], at: Path, other: Other) -> Fields:
    """The texts of an answer or a choice beside those members that are known to say nothing."""
    found = Fields()
    for name, value in holder.items():
        if name not in known and value is not None:
            _unknown(name, value, (*at, name), other, found)
    return found


def repeated(logprobs: object, said: Callable[[str], str]) -> str:
    """What the tokens of log-probabilities say, where that is not what the text says.

    Args:
        logprobs: of a choice or a chunk.
        said: gives the text of `content` or `refusal`.

    Raises:
        ValueError: they have not the shape of log-probabilities.
    """
    if logprobs is None:
        return ""
    if type(logprobs) is not dict:
        raise ValueError(f"logprobs: `{type(logprobs).__name__}` is no object")
    beyond: list[str] = []
    for kind, tokens in logprobs.items():
        if tokens is None or tokens == []:
            continue
        if kind not in {"content", "refusal"} or type(tokens) is not list:
            beyond += (leaf.text for leaf in anywhere({kind: tokens}))
            continue
        beside = told_beside(tokens, said(kind))
        if beside is None:
            raise ValueError(f"logprobs.{kind}: no list of tokens")
        beyond += [beside] if beside else []
    return "\n".join(beyond)


def _content(value: Any, path: Path, other: Other, found: Fields) -> None:
    if type(value) is str:
        found.slots.append(Slot(TEXT, Leaf(path, value)))
        return
    if type(value) is not list:
        _unknown("content", value, path, other, found)
        return
    for place, part in enumerate(value):
        at = (*path, place)
        if part == "":
            continue
        kind = part.get("type") if type(part) is dict else None
        kind = kind if type(kind) is str else None
        if type(part) is str:
            found.slots.append(Slot(TEXT, Leaf(at, part)))
        elif kind in _TEXTS and type(part.get(_TEXTS[kind])) is str:
            text = _TEXTS[kind]
            if part[text]:
                found.slots.append(Slot(REFUSAL if text == "refusal" else TEXT, Leaf((*at, text), part[text])))
            if len(part) > 2:
                _take(found, anywhere(without(part, "type", text), at), other)
        elif kind in {"thinking", "reasoning"}:
            _take(found, anywhere(part, at, sealed=_OPAQUE), lambda _: _THINKING)
        else:
            what = kind if kind and identifier(kind) else "unknown"
            found.unscannable.append(Unscannable(written(at), what))


def _calls(calls: Any, path: Path, other: Other, names: AbstractSet[str], found: Fields) -> None:
    if type(calls) is not list:
        raise ValueError(f"{written(path)}: `{type(calls).__name__}` is no list")
    for place, call in enumerate(calls):
        at = (*path, place)
        if type(call) is not dict:
            raise ValueError(f"{written(at)}: `{type(call).__name__}` is no object")
        index = call.get("index", place)
        index = index if type(index) is int and 0 <= index < LEGACY_CALL else place
        for name, value in call.items():
            if value is None or name == "index":
                continue
            if name in {"function", "custom"}:
                _call(value, index, (*at, name), other, names, found)
            elif name not in {"id", "type"} or not identifier(value):
                leaves = anywhere({name: value}, at, sealed=_OPAQUE - {"id", "type"})
                _take(found, leaves, other)


def _call(function: Any, index: int, path: Path, other: Other, names: AbstractSet[str], found: Fields) -> None:
    if type(function) is not dict:
        raise ValueError(f"{written(path)}: `{type(function).__name__}` is no object")
    for name, value in function.items():
        if name in {"arguments", "input"}:
            _take(found, anywhere(value, (*path, name)), lambda _: Channel("tool", index))
        elif name == "name" and type(value) is str:
            if value and value not in names:
                found.slots.append(Slot(name_of(index), Leaf((*path, name), value)))
        else:
            _take(found, anywhere({name: value}, path), other)


def _audio(audio: Json, path: Path, other: Other, found: Fields) -> None:
    for name, value in audio.items():
        if name == "data" and value:
            found.unscannable.append(Unscannable(written(path), "audio"))
        elif name == "transcript" and type(value) is str:
            if value:
                found.slots.append(Slot(SPOKEN, Leaf((*path, name), value)))
        elif name not in {"id", "expires_at", "data"} or not (value is None or identifier(value)):
            _take(found, anywhere({name: value}, path), other)


def _unknown(name: str, value: Any, path: Path, other: Other, found: Fields) -> None:
    if name == "role" and value == "assistant":
        return
    if wordy(name):
        found.slots.append(Slot(other(path), Leaf(path, name, is_name=True)))
    _take(found, anywhere(value, path, sealed=_OPAQUE - {"id", "data"}), other)


def _take(found: Fields, leaves: Iterator[Leaf], channel: Other) -> None:
    for leaf in leaves:
        if embedded(leaf.text):
            found.unscannable.append(Unscannable(written(leaf.path), "data_url"))
        else:
            found.slots.append(Slot(channel(leaf.path), leaf))
