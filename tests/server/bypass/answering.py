"""What an upstream answers, whole and as a stream, with a text in one of the places that an API's answers have."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from tests.server.fake_upstream import item_events, named, pieces, sse

Json: TypeAlias = dict[str, Any]
Cut: TypeAlias = Callable[[str], list[str]]
CLEAN = "The tide comes in twice a day."
USAGE = {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}


@dataclass(frozen=True)
class Said:
    """An answer in both forms."""

    raw: str
    """Whole: its bytes."""
    events: tuple[str, ...]
    """As a stream."""

    def swapped(self, old: str, new: str) -> Said:
        """The same with other bytes."""
        return Said(self.raw.replace(old, new), tuple(event.replace(old, new) for event in self.events))


def letters(text: str) -> list[str]:
    """A piece a character."""
    return list(text)


def chat(*choices: Json, cut: Cut = pieces, beside: Json | None = None) -> Said:
    """A chat completion; `choices` are messages, `logprobs` and other members with a `$` before them beside one."""
    shape: Json = {"id": "chatcmpl-fake", "created": 1, "model": "fake", **(beside or {})}
    whole, events = [], []

    def chunk(index: int, delta: Json, **more: Any) -> None:
        data = {"index": index, "delta": delta, "finish_reason": None, **more}
        events.append({**shape, "object": "chat.completion.chunk", "choices": [data]})

    for index, choice in enumerate(choices):
        message = {"role": "assistant", "content": None, **{k: v for k, v in choice.items() if k[0] != "$"}}
        around = {name[1:]: value for name, value in choice.items() if name[0] == "$"}
        finish = "tool_calls" if message.get("tool_calls") else "stop"
        whole.append({"index": index, "message": message, "logprobs": None, "finish_reason": finish, **around})
        chunk(index, {"role": "assistant", "content": ""})
        for name, value in choice.items():
            if name[0] == "$":
                chunk(index, {"content": ""}, **{name[1:]: value})
            elif name == "tool_calls":
                for place, call in enumerate(value):
                    function = call["function"]
                    begun = {**call, "index": place, "function": {**function, "arguments": ""}}
                    chunk(index, {"tool_calls": [begun]})
                    for piece in cut(function["arguments"]):
                        chunk(index, {"tool_calls": [{"index": place, "function": {"arguments": piece}}]})
            elif isinstance(value, str):
                for piece in cut(value):
                    chunk(index, {name: piece})
            else:
                chunk(index, {name: value})
        chunk(index, {}, finish_reason=finish)
    data = {**shape, "object": "chat.completion", "choices": whole, "usage": USAGE}
    return Said(json.dumps(data), (*(sse(event).decode() for event in events), "data: [DONE]\n\n"))


_BEGUN = {"thinking": ("thinking", ""), "text": ("text", ""), "tool_use": ("input", {})}
_DELTAS = {
    "thinking": ("thinking_delta", "thinking"),
    "text": ("text_delta", "text"),
    "tool_use": ("input_json_delta", "partial_json"),
}


def messages(*blocks: Json, cut: Cut = pieces) -> Said:
    """A message of these blocks."""
    stop = "tool_use" if any(block["type"] == "tool_use" for block in blocks) else "end_turn"
    ending = {"stop_reason": stop, "stop_sequence": None}
    usage = {"input_tokens": 9, "output_tokens": 12}
    shape: Json = {"id": "msg_fake", "type": "message", "role": "assistant", "model": "fake"}
    data = {**shape, "content": list(blocks), **ending, "usage": usage}
    events: list[Json] = [{"type": "message_start", "message": {**data, "content": [], "stop_reason": None}}]
    for index, block in enumerate(blocks):
        member, empty = _BEGUN.get(block["type"], ("", None))
        begun = {**block, member: empty} if member else block
        events.append({"type": "content_block_start", "index": index, "content_block": begun})
        if member:
            kind, key = _DELTAS[block["type"]]
            said = block[member] if isinstance(block[member], str) else json.dumps(block[member])
            for piece in cut(said):
                delta = {"type": kind, key: piece}
                events.append({"type": "content_block_delta", "index": index, "delta": delta})
        events.append({"type": "content_block_stop", "index": index})
    events += [{"type": "message_delta", "delta": ending, "usage": usage}, {"type": "message_stop"}]
    return Said(json.dumps(data), tuple(named(event).decode() for event in events))


def responses(*items: Json, cut: Cut = pieces) -> Said:
    """A response of these items."""
    data: Json = {"id": "resp_fake", "object": "response", "created_at": 1, "status": "completed", "model": "fake"}
    data |= {"error": None, "incomplete_details": None, "instructions": None, "metadata": {}}
    data |= {"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "temperature": 1.0, "top_p": 1.0}
    data |= {"output": list(items), "usage": None}
    begun = {**data, "status": "in_progress", "output": []}
    events: list[Json] = [{"type": "response.created", "response": begun}]
    for place, item in enumerate(items):
        events += _item(place, item, cut)
    events.append({"type": "response.completed", "response": data})
    numbered = ({**event, "sequence_number": number} for number, event in enumerate(events))
    return Said(json.dumps(data), tuple(named(event).decode() for event in numbered))


def _item(place: int, item: Json, cut: Cut) -> Iterator[Json]:
    if item["type"] in ("message", "reasoning", "function_call") and len(item.get("content", "1")) == 1:
        yield from item_events(place, item, cut)
        return
    yield {"type": "response.output_item.added", "output_index": place, "item": {**item, "status": "in_progress"}}
    yield {"type": "response.output_item.done", "output_index": place, "item": item}


def call_of_chat(arguments: str, name: str = "look_up") -> Json:
    """A tool call."""
    call = {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}
    return {"tool_calls": [call]}


def text(said: str) -> Json:
    """A text block."""
    return {"type": "text", "text": said}


def tool_use(value: Any, name: str = "look_up") -> Json:
    """A block that calls a tool."""
    return {"type": "tool_use", "id": "toolu_1", "name": name, "input": value}


def message_item(*parts: Json) -> Json:
    """An item with content parts."""
    return {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": list(parts)}


def output(said: str, **more: Any) -> Json:
    """A part with text."""
    return {"type": "output_text", "text": said, "annotations": [], **more}


def function_call(arguments: str, name: str = "look_up") -> Json:
    """An item that calls a tool."""
    shape = {"id": "fc_1", "type": "function_call", "status": "completed", "call_id": "call_1"}
    return {**shape, "name": name, "arguments": arguments}


def _summary(said: str) -> Json:
    return {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": said}]}


def _tokens(said: str) -> list[Json]:
    words = pieces(said)
    return [{"token": word, "logprob": -0.1, "bytes": list(word.encode()), "top_logprobs": []} for word in words]


def _args(said: str) -> str:
    return json.dumps({"q": f"now {said}", "n": 3})


Build: TypeAlias = Callable[[str], Said]

ANSWERS: dict[str, dict[str, Build]] = {
    "text": {
        "chat_completions": lambda said: chat({"content": f"First {said} at dusk."}),
        "messages": lambda said: messages(text(f"First {said} at dusk.")),
        "responses": lambda said: responses(message_item(output(f"First {said} at dusk."))),
    },
    "refusal": {
        "chat_completions": lambda said: chat({"refusal": f"I will not {said} for you."}),
        "responses": lambda said: responses(message_item({"type": "refusal", "refusal": f"I will not {said} now."})),
    },
    "reasoning": {
        "chat_completions": lambda said: chat({"reasoning_content": f"They want to {said}.", "content": CLEAN}),
        "messages": lambda said: messages(
            {"type": "thinking", "thinking": f"They want to {said}.", "signature": "c2ln"}, text(CLEAN)
        ),
        "responses": lambda said: responses(_summary(f"They want to {said}."), message_item(output(CLEAN))),
    },
    "tool arguments": {
        "chat_completions": lambda said: chat(call_of_chat(_args(said))),
        "messages": lambda said: messages(tool_use(json.loads(_args(said)))),
        "responses": lambda said: responses(function_call(_args(said))),
    },
    "tool arguments with escaped letters": {
        "chat_completions": lambda said: chat(call_of_chat(escaped(_args(said)))),
        "messages": lambda said: messages(tool_use(json.loads(_args(said)))).swapped(said, escaped(said)),
        "responses": lambda said: responses(function_call(escaped(_args(said)))),
    },
    "the name of a tool": {
        "chat_completions": lambda said: chat(call_of_chat("{}", said)),
        "messages": lambda said: messages(tool_use({}, said)),
        "responses": lambda said: responses(function_call("{}", said)),
    },
    "the name of a member in tool arguments": {
        "chat_completions": lambda said: chat(call_of_chat(json.dumps({said: 1}))),
        "messages": lambda said: messages(tool_use({said: 1})),
        "responses": lambda said: responses(function_call(json.dumps({said: 1}))),
    },
    "a second tool call": {
        "chat_completions": lambda said: chat(
            {"tool_calls": [*call_of_chat("{}")["tool_calls"], *call_of_chat(_args(said))["tool_calls"]]}
        ),
        "messages": lambda said: messages(tool_use({}), tool_use(json.loads(_args(said)))),
        "responses": lambda said: responses(function_call("{}"), {**function_call(_args(said)), "id": "fc_2"}),
    },
    "a tool result": {
        "messages": lambda said: messages(
            {"type": "mcp_tool_use", "id": "mcp_1", "name": "look", "server_name": "sea", "input": {}},
            {"type": "mcp_tool_result", "tool_use_id": "mcp_1", "is_error": False, "content": [text(f"To {said}.")]},
            text(CLEAN),
        ),
        "responses": lambda said: responses(
            {
                "id": "mcp_1",
                "type": "mcp_call",
                "server_label": "sea",
                "name": "look",
                "arguments": "{}",
                "output": f"To {said}.",
                "error": None,
            },
            message_item(output(CLEAN)),
        ),
    },
    "the second choice": {
        "chat_completions": lambda said: chat({"content": CLEAN}, {"content": f"First {said} at dusk."}),
    },
    "a second block": {
        "messages": lambda said: messages(text(CLEAN), tool_use({}), text(f"First {said} at dusk.")),
        "responses": lambda said: responses(
            {**message_item(output(CLEAN)), "id": "msg_0"}, message_item(output(f"First {said} at dusk."))
        ),
    },
    "content parts": {
        "chat_completions": lambda said: chat({"content": [text(CLEAN), text(f"First {said}.")]}),
        "messages": lambda said: messages(text("First " + said[:9]), text(said[9:] + " at dusk.")),
        "responses": lambda said: responses(message_item(output(CLEAN), output(f"First {said} at dusk."))),
    },
    "chunks of one letter": {
        "chat_completions": lambda said: chat({"content": f"First {said} at dusk."}, cut=letters),
        "messages": lambda said: messages(text(f"First {said} at dusk."), cut=letters),
        "responses": lambda said: responses(message_item(output(f"First {said} at dusk.")), cut=letters),
    },
    "tool arguments in chunks of one letter": {
        "chat_completions": lambda said: chat(call_of_chat(escaped(_args(said))), cut=letters),
        "messages": lambda said: messages(tool_use(json.loads(_args(said))), cut=letters),
        "responses": lambda said: responses(function_call(escaped(_args(said))), cut=letters),
    },
    "base64": {
        "chat_completions": lambda said: chat({"content": f"Decode {encoded(said)} please."}, cut=letters),
        "messages": lambda said: messages(text(f"Decode {encoded(said)} please."), cut=letters),
        "responses": lambda said: responses(message_item(output(f"Decode {encoded(said)} please.")), cut=letters),
    },
    "zero-width characters": {
        "chat_completions": lambda said: chat({"content": f"First {hidden(said)} at dusk."}, cut=letters),
        "messages": lambda said: messages(text(f"First {hidden(said)} at dusk."), cut=letters),
        "responses": lambda said: responses(message_item(output(f"First {hidden(said)} at dusk.")), cut=letters),
    },
    "letters of another alphabet": {
        "chat_completions": lambda said: chat({"content": f"First {alike(said)} at dusk."}, cut=letters),
        "messages": lambda said: messages(text(f"First {alike(said)} at dusk."), cut=letters),
        "responses": lambda said: responses(message_item(output(f"First {alike(said)} at dusk.")), cut=letters),
    },
    "an unknown member of a message": {
        "chat_completions": lambda said: chat({"content": CLEAN, "made_up": {"deep": [said]}}),
        "messages": lambda said: messages({**text(CLEAN), "made_up": {"deep": [said]}}),
        "responses": lambda said: responses({**message_item(output(CLEAN)), "made_up": {"deep": [said]}}),
    },
    "an unknown kind of block": {
        "messages": lambda said: messages({"type": "made_up", "says": said}, text(CLEAN)),
        "responses": lambda said: responses({"id": "x_1", "type": "made_up", "says": said}),
        "chat_completions": lambda said: chat({"content": [{"type": "made_up", "says": said}]}),
    },
    "log-probabilities": {
        "chat_completions": lambda said: chat({"content": CLEAN, "$logprobs": {"content": _tokens(said)}}),
        "responses": lambda said: responses(message_item(output(CLEAN, logprobs=_tokens(said)))),
    },
    "annotations": {
        "chat_completions": lambda said: chat(
            {
                "content": CLEAN,
                "annotations": [
                    {
                        "type": "url_citation",
                        "url_citation": {"url": "http://sea", "title": said, "start_index": 0, "end_index": 3},
                    }
                ],
            }
        ),
        "messages": lambda said: messages(
            {
                **text(CLEAN),
                "citations": [
                    {
                        "type": "char_location",
                        "cited_text": said,
                        "document_index": 0,
                        "document_title": "sea",
                        "start_char_index": 0,
                        "end_char_index": 3,
                    }
                ],
            }
        ),
        "responses": lambda said: responses(
            message_item(
                output(CLEAN)
                | {
                    "annotations": [
                        {"type": "url_citation", "url": "http://sea", "title": said, "start_index": 0, "end_index": 3}
                    ]
                }
            )
        ),
    },
    "the transcript of a voice": {
        "chat_completions": lambda said: chat(
            {"audio": {"id": "audio_1", "data": "", "transcript": f"First {said} at dusk.", "expires_at": 1}}
        ),
    },
}
"""Place -> the upstream's API -> an answer with a text there."""


def escaped(said: str) -> str:
    """Every `k` and `h` written as JSON may write it."""
    return said.replace("k", "\\u006b").replace("h", "\\u0068")


def encoded(said: str) -> str:
    """In base64."""
    return base64.b64encode(f"first {said} at dusk".encode()).decode()


def hidden(said: str) -> str:
    """With characters between the letters that nobody sees."""
    return "\u200b".join(said)


def alike(said: str) -> str:
    """With Cyrillic letters that look the same."""
    return said.translate(str.maketrans("aeo", "\u0430\u0435\u043e"))
