"""Reads streams as strictly as their APIs are written: whatever comes out of order is an error."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tests.server.fuzz.speaking import Json, Key, heard


@dataclass
class Heard:
    """What a client has understood."""

    texts: dict[Key, str] = field(default_factory=dict)
    endings: dict[int, str] = field(default_factory=dict)
    """How each choice ended, in the API's own word."""

    def add(self, key: Key, text: str) -> None:
        if text:
            self.texts[key] = self.texts.get(key, "") + text


def listen(api: str, raw: bytes) -> Heard:
    """Read a whole stream."""
    assert raw.endswith((b"\n\n", b"\r\n\r\n")), raw[-80:]
    events = [_event(block) for block in raw.decode().replace("\r\n", "\n").split("\n\n")]
    kept = [event for event in events if event is not None]
    return {"chat_completions": _chunks, "messages": _message, "responses": _response}[api](kept)


def _event(block: str) -> Json | None:
    lines = [line for line in block.split("\n") if line and not line.startswith(":")]
    if not lines:
        return None
    data = [line[5:].lstrip(" ") for line in lines if line.startswith("data:")]
    names = [line[6:].strip() for line in lines if line.startswith("event:")]
    assert len(data) == 1, block
    if data[0] == "[DONE]":
        return {"type": "[DONE]"}
    parsed: Json = json.loads(data[0])
    if names:
        assert names == [parsed["type"]], block
    return parsed


def _chunks(events: list[Json]) -> Heard:
    got = Heard()
    assert events[-1] == {"type": "[DONE]"}
    begun: set[tuple[int, int]] = set()
    for event in events[:-1]:
        assert event["object"] == "chat.completion.chunk", event
        assert event["id"], event
        for choice in event["choices"]:
            index, delta = choice["index"], choice["delta"]
            assert index not in got.endings, f"choice {index} goes on after its end: {event}"
            got.add((index, "text", 0), delta.get("content") or "")
            got.add((index, "refusal", 0), delta.get("refusal") or "")
            got.add((index, "reasoning", 0), delta.get("reasoning_content") or "")
            for call in delta.get("tool_calls") or []:
                if (index, call["index"]) not in begun:
                    assert call["id"], event
                    assert call["function"]["name"], event
                    begun.add((index, call["index"]))
                got.add((index, "tool", call["index"]), call["function"].get("arguments") or "")
            if choice.get("finish_reason"):
                got.endings[index] = choice["finish_reason"]
    return got


def _message(events: list[Json]) -> Heard:
    got = Heard()
    events = [event for event in events if event["type"] != "ping"]
    assert [event["type"] for event in events].count("message_start") == 1
    assert events[0]["type"] == "message_start"
    assert events[-1]["type"] == "message_stop"
    assert events[-2]["type"] == "message_delta"
    got.endings[0] = events[-2]["delta"]["stop_reason"]
    block: Json | None = None
    number = 0
    for event in events[1:-2]:
        if event["type"] == "content_block_start":
            assert block is None, event
            assert event["index"] == number, event
            block = event["content_block"]
            assert not block.get("text"), event
        elif event["type"] == "content_block_delta":
            assert block is not None, event
            assert event["index"] == number, event
            delta = event["delta"]
            kind, form, key = {
                "thinking": ("reasoning", "thinking_delta", "thinking"),
                "tool_use": ("tool", "input_json_delta", "partial_json"),
            }.get(block["type"], ("text", "text_delta", "text"))
            if delta["type"] == "signature_delta":
                assert kind == "reasoning", event
                continue
            assert delta["type"] == form, event
            got.add((0, kind, number), delta[key])
        else:
            assert event["type"] == "content_block_stop", event
            assert event["index"] == number, event
            block, number = None, number + 1
    assert block is None
    return got


def _response(events: list[Json]) -> Heard:
    got = Heard()
    numbers = [event["sequence_number"] for event in events]
    assert numbers == list(range(len(numbers))), numbers
    assert events[0]["type"] == "response.created"
    last = events[-1]
    assert last["type"] in ("response.completed", "response.incomplete"), last
    kinds: dict[int, str] = {}
    finished: dict[int, Json] = {}
    for event in events[1:-1]:
        kind = event["type"].removeprefix("response.")
        index = event.get("output_index")
        if kind == "output_item.added":
            assert index == len(kinds), event
            kinds[index] = event["item"]["type"]
        elif kind == "output_item.done":
            finished[index] = event["item"]
        elif kind.endswith(".delta"):
            assert index in kinds, event
            assert index not in finished, event
            got.add((0, _kind(kind), index), event["delta"])
        elif kind.endswith("text.done") or kind in ("refusal.done", "function_call_arguments.done"):
            said = event.get("text", event.get("refusal", event.get("arguments")))
            assert said == got.texts.get((0, _kind(kind), index), ""), event
    assert finished.keys() == kinds.keys()
    output: list[Any] = last["response"]["output"]
    assert output == [finished[index] for index in sorted(finished)]
    assert heard("responses", last["response"]) == got.texts
    reason = (last["response"].get("incomplete_details") or {}).get("reason")
    got.endings[0] = reason or last["response"]["status"]
    return got


def _kind(name: str) -> str:
    if name.startswith("function_call"):
        return "tool"
    if name.startswith("reasoning"):
        return "reasoning"
    return "refusal" if name.startswith("refusal") else "text"
