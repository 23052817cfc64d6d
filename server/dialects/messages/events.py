"""The events of a Messages stream, made."""

from __future__ import annotations

from typing import Any

import orjson

from server.dialects import _events
from server.dialects.base import Json
from server.upstreams.base import Event

DELTAS = {
    "text": ("text_delta", "text"),
    "reasoning": ("thinking_delta", "thinking"),
    "tool": ("input_json_delta", "partial_json"),
}
"""Kind of channel -> type of the delta that carries its text, and the key under which it stands."""


def event(data: Json) -> Event:
    """An event of the type that its data names."""
    return _events.event(data, data["type"])


def again(event: Event, data: Json) -> Event:
    """An event with other data, under its own name."""
    return _events.event(data, event.name)


def delta(index: int, kind: str, text: str) -> Event:
    """A piece of a block's text; `kind` is its channel's."""
    name, key = DELTAS[kind]
    return event({"type": "content_block_delta", "index": index, "delta": {"type": name, key: text}})


def start(index: int, block: Json) -> Event:
    """The beginning of a block."""
    return event({"type": "content_block_start", "index": index, "content_block": block})


def stop(index: int) -> Event:
    """The end of a block."""
    return event({"type": "content_block_stop", "index": index})


def text_block(index: int, text: str) -> list[Event]:
    """A whole block of text."""
    return [start(index, {"type": "text", "text": ""}), delta(index, "text", text), stop(index)]


def message_delta(reason: str | None, usage: Json, **details: Any) -> Event:
    """Why the answer ends, and what it cost."""
    data = {"stop_reason": reason, "stop_sequence": None, **details}
    return event({"type": "message_delta", "delta": data, "usage": usage})


def message_events(message: Json) -> list[Event]:
    """A stream that says what a whole message says."""
    usage: Json = {"input_tokens": 0, "output_tokens": 0} | (message.get("usage") or {})
    begun = {**message, "content": [], "stop_reason": None, "stop_sequence": None}
    begun["usage"] = {**usage, "output_tokens": 0}
    begun.pop("stop_details", None)
    events = [event({"type": "message_start", "message": begun})]
    for index, block in enumerate(message.get("content") or ()):
        events += _block_events(index, block)
    details = {key: message[key] for key in ("stop_sequence", "stop_details") if message.get(key) is not None}
    if isinstance(message.get("container"), dict):
        details["container"] = message["container"]
    events.append(message_delta(message.get("stop_reason"), usage, **details))
    events.append(event({"type": "message_stop"}))
    return events


def _block_events(index: int, block: Json) -> list[Event]:
    kind = block.get("type")
    begun: Json
    if kind == "text":
        begun, pieces = {"type": "text", "text": ""}, [delta(index, "text", block["text"])]
        for citation in block.get("citations") or ():
            data = {"type": "citations_delta", "citation": citation}
            pieces.append(event({"type": "content_block_delta", "index": index, "delta": data}))
    elif kind == "thinking":
        begun, pieces = {**block, "thinking": "", "signature": ""}, [delta(index, "reasoning", block["thinking"])]
        data = {"type": "signature_delta", "signature": block.get("signature") or ""}
        pieces.append(event({"type": "content_block_delta", "index": index, "delta": data}))
    elif isinstance(block.get("input"), dict):
        begun, pieces = {**block, "input": {}}, [delta(index, "tool", orjson.dumps(block["input"]).decode())]
    else:
        begun, pieces = block, []
    return [start(index, begun), *pieces, stop(index)]
