"""A whole message, as chat completions say it."""

from __future__ import annotations

import secrets
import time

from server.translating._shapes import Json, a_count, a_list, a_text, an_object, text_or, written

_FINISHES = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def answer(data: Json, asked: Json) -> Json:
    """An answer as the client reads it.

    Args:
        data: the upstream's.
        asked: the client's request.

    Raises:
        ValueError: it says what chat completions cannot say, or is no answer.
    """
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[Json] = []
    for number, block in enumerate(a_list(data.get("content"), "content")):
        place = f"content[{number}]"
        kind = an_object(block, place).get("type")
        if kind == "text":
            texts.append(a_text(block.get("text"), f"{place}.text"))
        elif kind == "thinking":
            thoughts.append(a_text(block.get("thinking"), f"{place}.thinking"))
        elif kind == "tool_use":
            calls.append(_call(block, place))
        elif kind != "redacted_thinking":
            raise ValueError(f"{place}: a block of type `{kind}`")
    message: Json = {"role": "assistant", "content": "".join(texts) if texts else None, "refusal": None}
    if any(thoughts):
        message["reasoning_content"] = "".join(thoughts)
    if calls:
        message["tool_calls"] = calls
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish(data.get("stop_reason"))}
    said = {**envelope(data, asked, "chat.completion"), "choices": [choice]}
    return {**said, "usage": usage(an_object(data.get("usage") or {}, "usage"))}


def _call(block: Json, place: str) -> Json:
    given = written(an_object(block.get("input"), f"{place}.input"), f"{place}.input")
    function = {"name": a_text(block.get("name"), f"{place}.name"), "arguments": given}
    return {"id": a_text(block.get("id"), f"{place}.id"), "type": "function", "function": function}


def envelope(data: Json, asked: Json, kind: str) -> Json:
    """What stands round the choices of an answer or a chunk."""
    return {
        "id": f"chatcmpl-{text_or(data.get('id'), secrets.token_hex(12))}",
        "object": kind,
        "created": int(time.time()),
        "model": text_or(data.get("model"), text_or(asked.get("model"), "")),
    }


def finish(reason: object) -> str:
    """Why an answer ended."""
    return _FINISHES.get(text_or(reason, ""), "stop")


def usage(counted: Json) -> Json:
    """Tokens; those that went through a cache are among those of the prompt, as chat completions count them."""
    cached = a_count(counted.get("cache_read_input_tokens"))
    prompt = a_count(counted.get("input_tokens")) + a_count(counted.get("cache_creation_input_tokens")) + cached
    said = a_count(counted.get("output_tokens"))
    whole: Json = {"prompt_tokens": prompt, "completion_tokens": said, "total_tokens": prompt + said}
    whole["prompt_tokens_details"] = {"cached_tokens": cached}
    details = counted.get("output_tokens_details")
    if isinstance(details, dict) and a_count(details.get("thinking_tokens")):
        whole["completion_tokens_details"] = {"reasoning_tokens": details["thinking_tokens"]}
    return whole
