"""An answer of chat completions as one of the Responses API."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import Any

from server.dialects.responses.response import blank

Json = dict[str, Any]

_REASONS = {"length": "max_output_tokens", "content_filter": "content_filter"}


def answer(data: Mapping[str, Any], asked: Mapping[str, Any]) -> Json:
    """The answer that the client gets.

    Args:
        data: what the model behind answered.
        asked: the client's request.

    Raises:
        ValueError: "where: what" for what is no answer of chat completions, or cannot be translated.
    """
    choices = data.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise ValueError("choices: missing, or empty")
    message = choices[0].get("message")
    if not isinstance(message, dict):
        raise ValueError("choices[0].message: missing, or not an object")
    if message.get("audio"):
        raise ValueError("choices[0].message.audio: cannot be translated")
    reason = choices[0].get("finish_reason")
    output: list[Json] = []
    thought = message.get("reasoning_content") or message.get("reasoning")
    if isinstance(thought, str) and thought:
        output.append(reasoning(thought))
    parts = _parts(message, choices[0].get("logprobs"))
    if parts:
        output.append({**begun("message"), "status": "completed", "content": parts})
    for place, call in enumerate(message.get("tool_calls") or ()):
        output.append(_call(call, f"choices[0].message.tool_calls[{place}]"))
    if reason in _REASONS and output and "status" in output[-1]:
        output[-1]["status"] = "incomplete"
    started = opened(data, asked)
    return {**started, "output": output, "usage": usage(data.get("usage")), **ending(reason)}


def opened(data: Mapping[str, Any], asked: Mapping[str, Any]) -> Json:
    """An answer in which nothing is said yet."""
    started = blank(asked)
    if isinstance(data.get("model"), str) and data["model"]:
        started["model"] = data["model"]
    if isinstance(data.get("created"), int | float):
        started["created_at"] = int(data["created"])
    return started


def ending(reason: object) -> Json:
    """How the answer's end is told."""
    if reason in _REASONS:
        return {"status": "incomplete", "incomplete_details": {"reason": _REASONS[str(reason)]}}
    return {"status": "completed", "incomplete_details": None, "completed_at": int(time.time())}


def usage(counted: object) -> Json | None:
    """The tokens, by the names of this API."""
    if not isinstance(counted, dict):
        return None
    read = counted.get("prompt_tokens_details") or {}
    written = counted.get("completion_tokens_details") or {}
    asked, said = counted.get("prompt_tokens") or 0, counted.get("completion_tokens") or 0
    return {
        "input_tokens": asked,
        "input_tokens_details": {
            "cached_tokens": read.get("cached_tokens") or 0,
            "cache_write_tokens": read.get("cache_write_tokens") or 0,
        },
        "output_tokens": said,
        "output_tokens_details": {"reasoning_tokens": written.get("reasoning_tokens") or 0},
        "total_tokens": counted.get("total_tokens") or asked + said,
    }


def begun(kind: str, call_id: str = "", name: str = "") -> Json:
    """An item in which nothing is said yet."""
    if kind == "reasoning":
        return {
            "id": f"rs_{secrets.token_hex(24)}",
            "type": kind,
            "summary": [],
            "content": [],
            "status": "in_progress",
        }
    if kind == "message":
        item: Json = {"id": f"msg_{secrets.token_hex(24)}", "type": kind, "role": "assistant", "content": []}
        return {**item, "status": "in_progress"}
    called = {"call_id": call_id or f"call_{secrets.token_hex(12)}", "name": name}
    if kind == "custom_tool_call":
        return {"id": f"ctc_{secrets.token_hex(24)}", "type": kind, **called, "input": ""}
    return {"id": f"fc_{secrets.token_hex(24)}", "type": kind, **called, "arguments": "", "status": "in_progress"}


def reasoning(text: str) -> Json:
    """What the model thought, as an item."""
    return {**begun("reasoning"), "content": [{"type": "reasoning_text", "text": text}], "status": "completed"}


def logprobs(given: object) -> list[Json]:
    """Log-probabilities of a text; the same names, without those that this API has not."""
    tokens = given.get("content") if isinstance(given, dict) else None
    return [
        {**token, "bytes": token.get("bytes") or [], "top_logprobs": token.get("top_logprobs") or []}
        for token in (tokens if isinstance(tokens, list) else ())
        if isinstance(token, dict)
    ]


def _parts(message: Mapping[str, Any], probable: object) -> list[Json]:
    parts: list[Json] = []
    content = message.get("content")
    if isinstance(content, list):
        texts = [part.get("text") if isinstance(part, dict) else None for part in content]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("choices[0].message.content: a part that is no text cannot be translated")
        content = "".join(str(text) for text in texts)
    if isinstance(content, str) and content:
        annotations = [_annotation(each) for each in message.get("annotations") or () if isinstance(each, dict)]
        said = {"type": "output_text", "text": content, "annotations": annotations, "logprobs": logprobs(probable)}
        parts.append(said)
    elif content is not None and not isinstance(content, str):
        raise ValueError("choices[0].message.content: neither a string nor a list of parts")
    if message.get("refusal"):
        parts.append({"type": "refusal", "refusal": str(message["refusal"])})
    return parts


def _annotation(annotation: Json) -> Json:
    inner = annotation.get(str(annotation.get("type")))
    return {"type": annotation.get("type"), **inner} if isinstance(inner, dict) else annotation


def _call(call: object, where: str) -> Json:
    if not isinstance(call, dict):
        raise ValueError(f"{where}: not an object")
    custom = call.get("type") == "custom"
    inner, member = call.get("custom" if custom else "function"), "input" if custom else "arguments"
    if not isinstance(inner, dict) or not isinstance(inner.get("name"), str):
        raise ValueError(f"{where}: no name of a tool")
    said = inner.get(member)
    if said is not None and not isinstance(said, str):
        raise ValueError(f"{where}.{member}: not a string")
    item = begun("custom_tool_call" if custom else "function_call", str(call.get("id") or ""), inner["name"])
    item[member] = said or ""
    if "status" in item:
        item["status"] = "completed"
    return item
