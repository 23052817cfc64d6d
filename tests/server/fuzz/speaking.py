"""Answers of a model, whole and as streams that are cut anywhere, and what a client makes of a stream."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from random import Random
from typing import Any, TypeAlias

from tests.server.fake_upstream import USAGE, item_events, named, sse

Json: TypeAlias = dict[str, Any]
Key: TypeAlias = tuple[int, str, int]
"""Choice, kind of text, and which one of its kind or which block."""

PATHS = {"chat_completions": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}


@dataclass(frozen=True)
class Said:
    """What a model says: for each choice its parts in order, each a kind (`reasoning`, `text`, `refusal`, `tool`) and
    a text; that of a tool is the JSON of its arguments."""

    api: str
    choices: tuple[tuple[tuple[str, str], ...], ...]

    def request(self, *, stream: bool) -> Json:
        asked: Json = {"model": "fake", "stream": stream}
        if self.api == "responses":
            return asked | {"input": "When is high tide?"}
        asked["messages"] = [{"role": "user", "content": "When is high tide?"}]
        return asked | ({"max_tokens": 99} if self.api == "messages" else {"n": len(self.choices)})

    def whole(self) -> Json:
        return {"chat_completions": _completion, "messages": _message, "responses": _response}[self.api](self)

    def stream(self, random: Random) -> list[bytes]:
        """The stream's bytes, in chunks that have nothing to do with its events."""
        shapes = {"chat_completions": _chunks, "messages": _message_events, "responses": _response_events}
        raw = b"".join(_spoiled(shapes[self.api](self, random), random))
        cuts = sorted(random.randrange(len(raw)) for _ in range(random.choice((0, 3, 40, 400))))
        return [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]

    def ended(self) -> str:
        """How the first choice ends."""
        return "tool" if any(kind == "tool" for kind, _ in self.choices[0]) else "stop"


def _spoiled(events: Iterator[bytes], random: Random) -> Iterator[bytes]:
    """The events with keep-alive lines between them, and with other line ends."""
    crlf = random.random() < 0.2
    for event in events:
        if random.random() < 0.05:
            yield b": still here\n\n"
        yield event.replace(b"\n", b"\r\n") if crlf else event


def _pieces(text: str, random: Random) -> list[str]:
    count = random.choice((0, 1, 3, 10, len(text)))
    cuts = sorted(random.randrange(len(text) + 1) for _ in range(count))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def _of(parts: Sequence[tuple[str, str]], kind: str) -> list[str]:
    return [text for each, text in parts if each == kind]


def _call(index: int) -> Json:
    return {"index": index, "id": f"call_{index}", "type": "function", "function": {"name": "look_up", "arguments": ""}}


def _completion(said: Said) -> Json:
    choices = []
    for index, parts in enumerate(said.choices):
        message: Json = {"role": "assistant", "content": "".join(_of(parts, "text"))}
        message["refusal"] = "".join(_of(parts, "refusal")) or None
        if thoughts := _of(parts, "reasoning"):
            message["reasoning_content"] = "".join(thoughts)
        if calls := _of(parts, "tool"):
            message["tool_calls"] = [
                {"id": f"call_{n}", "type": "function", "function": {"name": "look_up", "arguments": text}}
                for n, text in enumerate(calls)
            ]
        choices.append({"index": index, "message": message, "finish_reason": "tool_calls" if calls else "stop"})
    shape = {"id": "chatcmpl-fake", "object": "chat.completion", "created": 1, "model": "fake"}
    return {**shape, "choices": choices, "usage": USAGE}


def _deltas(parts: Sequence[tuple[str, str]], random: Random) -> Iterator[Json]:
    """The deltas of one choice: some carry two texts at once."""
    waiting: Json = {"role": "assistant", "content": ""}
    fields = {"text": "content", "reasoning": "reasoning_content", "refusal": "refusal"}
    calls = 0
    for kind, text in parts:
        if kind == "tool":
            yield waiting
            waiting = {"tool_calls": [_call(calls)]}
        for piece in _pieces(text, random):
            delta: Json = {"tool_calls": [{"index": calls, "function": {"arguments": piece}}]}
            if kind != "tool":
                delta = {fields[kind]: piece}
            if random.random() < 0.1 and not waiting.keys() & delta.keys():
                waiting |= delta
                continue
            yield waiting
            waiting = delta
        calls += kind == "tool"
    yield waiting


def _chunks(said: Said, random: Random) -> Iterator[bytes]:
    shape = {"id": "chatcmpl-fake", "object": "chat.completion.chunk", "created": 1, "model": "fake"}
    flows = {index: list(_deltas(parts, random)) for index, parts in enumerate(said.choices)}
    together = random.random() < 0.2
    first = list(flows)  # the official client bears no choice before those of lower numbers
    while flows:
        going = list(flows) if together else [first.pop(0) if first else random.choice(list(flows))]
        choices = []
        for index in going:
            choice: Json = {"index": index, "delta": flows[index].pop(0), "finish_reason": None}
            if not flows[index]:
                called = any(kind == "tool" for kind, _ in said.choices[index])
                ended = {"index": index, "delta": {}, "finish_reason": "tool_calls" if called else "stop"}
                if random.random() < 0.3:
                    choice["finish_reason"] = ended["finish_reason"]
                else:
                    choices.append(choice)
                    choice = ended
                del flows[index]
            choices.append(choice)
        if together and len({choice["index"] for choice in choices}) == len(choices):
            yield sse({**shape, "choices": choices})
        else:
            yield from (sse({**shape, "choices": [choice]}) for choice in choices)
    yield sse({**shape, "choices": [], "usage": USAGE})
    yield b"data: [DONE]\n\n"


def _blocks(said: Said) -> list[Json]:
    blocks: list[Json] = []
    for number, (kind, text) in enumerate(said.choices[0]):
        if kind == "reasoning":
            blocks.append({"type": "thinking", "thinking": text, "signature": "c2lnbmVk"})
        elif kind == "tool":
            blocks.append({"type": "tool_use", "id": f"toolu_{number}", "name": "look_up", "input": json.loads(text)})
        else:
            blocks.append({"type": "text", "text": text})
    return blocks


def _message(said: Said) -> Json:
    shape = {"id": "msg_fake", "type": "message", "role": "assistant", "model": "fake", "stop_sequence": None}
    ending = "tool_use" if said.ended() == "tool" else "end_turn"
    usage = {"input_tokens": 9, "output_tokens": 12}
    return {**shape, "content": _blocks(said), "stop_reason": ending, "usage": usage}


def _message_events(said: Said, random: Random) -> Iterator[bytes]:
    message = _message(said)
    yield named({"type": "message_start", "message": {**message, "content": [], "stop_reason": None}})
    for n, (block, (kind, text)) in enumerate(zip(message["content"], said.choices[0], strict=True)):
        form, key, empty = {
            "reasoning": ("thinking_delta", "thinking", {**block, "thinking": "", "signature": ""}),
            "tool": ("input_json_delta", "partial_json", {**block, "input": {}}),
        }.get(kind, ("text_delta", "text", {**block, "text": ""}))
        yield named({"type": "content_block_start", "index": n, "content_block": empty})
        for piece in _pieces(text, random):
            if random.random() < 0.05:
                yield named({"type": "ping"})
            yield named({"type": "content_block_delta", "index": n, "delta": {"type": form, key: piece}})
        if kind == "reasoning":
            signed = {"type": "signature_delta", "signature": "c2lnbmVk"}
            yield named({"type": "content_block_delta", "index": n, "delta": signed})
        yield named({"type": "content_block_stop", "index": n})
    ending = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield named({"type": "message_delta", "delta": ending, "usage": {"output_tokens": 12}})
    yield named({"type": "message_stop"})


def _items(said: Said) -> list[Json]:
    items: list[Json] = []
    for n, (kind, text) in enumerate(said.choices[0]):
        if kind == "reasoning":
            items.append({"id": f"rs_{n}", "type": "reasoning", "summary": [{"type": "summary_text", "text": text}]})
        elif kind == "tool":
            call = {"id": f"fc_{n}", "type": "function_call", "status": "completed", "call_id": f"call_{n}"}
            items.append({**call, "name": "look_up", "arguments": text})
        else:
            part: Json = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
            if kind == "refusal":
                part = {"type": "refusal", "refusal": text}
            message = {"id": f"msg_{n}", "type": "message", "role": "assistant", "status": "completed"}
            items.append({**message, "content": [part]})
    return items


def _response(said: Said) -> Json:
    shape = {"id": "resp_fake", "object": "response", "created_at": 1, "status": "completed", "model": "fake"}
    told = {"error": None, "incomplete_details": None, "instructions": None, "metadata": {}}
    options = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "temperature": 1.0, "top_p": 1.0}
    usage = {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 12,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 21,
    }
    return {**shape, **told, **options, "output": _items(said), "usage": usage}


def _response_events(said: Said, random: Random) -> Iterator[bytes]:
    response = _response(said)
    begun = {**response, "status": "in_progress", "output": [], "usage": None}
    events: list[Json] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
    ]
    for n, (item, (_, text)) in enumerate(zip(response["output"], said.choices[0], strict=True)):
        for delta, run in groupby(item_events(n, item), lambda event: str(event["type"]).endswith(".delta")):
            if delta:
                first = next(run)
                events += [{**first, "delta": piece} for piece in _pieces(text, random)]
            else:
                events += run
    events.append({"type": "response.completed", "response": response})
    for number, event in enumerate(events):
        yield named({**event, "sequence_number": number})


def heard(api: str, answer: Json) -> dict[Key, str]:
    """The texts of a whole answer."""
    texts: dict[Key, str] = {}
    if api == "chat_completions":
        for choice in answer["choices"]:
            index, message = choice["index"], choice["message"]
            texts[index, "text", 0] = message.get("content") or ""
            texts[index, "refusal", 0] = message.get("refusal") or ""
            texts[index, "reasoning", 0] = message.get("reasoning_content") or ""
            for n, call in enumerate(message.get("tool_calls") or []):
                texts[index, "tool", n] = call["function"]["arguments"]
    elif api == "messages":
        for n, block in enumerate(answer["content"]):
            kind = {"thinking": "reasoning", "tool_use": "tool"}.get(block["type"], block["type"])
            field = {"reasoning": "thinking", "tool": "input"}.get(kind, "text")
            texts[0, kind, n] = json.dumps(block[field]) if kind == "tool" else block[field]
    else:
        for n, item in enumerate(answer["output"]):
            if item["type"] == "function_call":
                texts[0, "tool", n] = item["arguments"]
            elif item["type"] == "reasoning":
                texts[0, "reasoning", n] = "".join(part["text"] for part in item["summary"])
            else:
                for part in item["content"]:
                    kind = "refusal" if part["type"] == "refusal" else "text"
                    texts[0, kind, n] = texts.get((0, kind, n), "") + part.get("text", part.get("refusal", ""))
    return {key: text for key, text in texts.items() if text}
