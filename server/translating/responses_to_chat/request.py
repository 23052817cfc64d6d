"""A request of the Responses API as one for chat completions.

The model behind has no memory and no tools of its own: what leans on either cannot be translated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]

_UPSTREAM = {
    "previous_response_id": "the model behind keeps no earlier answers: send the whole conversation as `input`",
    "conversation": "the model behind keeps no conversations: send the whole conversation as `input`",
    "prompt": "the model behind keeps no templates: send `instructions` and `input`",
    "background": "the model behind answers at once only",
}
# Members with a place of their own below, and those that mean nothing to a model without memory and tools of its own.
_TAKEN = frozenset(
    "input instructions tools tool_choice text reasoning max_output_tokens top_logprobs include stream stream_options"
    " store truncation max_tool_calls prompt_cache_options prompt_cache_retention context_management moderation image"
    " access_programs background_options".split()
)
_ROLES = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}
_LOGPROBS = "message.output_text.logprobs"


def request(body: Mapping[str, Any]) -> Json:
    """The request as it is sent on.

    Args:
        body: the client's request.

    Raises:
        ValueError: "where: what" for what cannot be translated.
    """
    for name, what in _UPSTREAM.items():
        if body.get(name):
            raise ValueError(f"{name}: {what}")
    asked: Json = {name: value for name, value in body.items() if name not in _TAKEN and name not in _UPSTREAM}
    asked["messages"] = _messages(body)
    if body.get("max_output_tokens") is not None:
        # The older name: servers that know this API alone all know it, and not all know the newer one.
        asked["max_tokens"] = body["max_output_tokens"]
    _shape(body, asked)
    if (tools := body.get("tools")) is not None:
        if not isinstance(tools, list):
            raise ValueError("tools: not a list")
        if tools:
            asked["tools"] = [_tool(tool, f"tools[{place}]") for place, tool in enumerate(tools)]
    if body.get("tool_choice") is not None:
        asked["tool_choice"] = _choice(body["tool_choice"])
    if not asked.get("tools"):
        # Servers refuse these where there are no tools.
        asked.pop("tool_choice", None)
        asked.pop("parallel_tool_calls", None)
    if body.get("top_logprobs") or _LOGPROBS in (body.get("include") or ()):
        asked["logprobs"] = True
        asked["top_logprobs"] = body.get("top_logprobs") or 0
    if body.get("stream") is True:
        asked |= {"stream": True, "stream_options": {"include_usage": True}}
    return {name: value for name, value in asked.items() if value is not None}


def _shape(body: Mapping[str, Any], asked: Json) -> None:
    """What the answer is to look like, and how long is to be thought about it."""
    text, reasoning = body.get("text") or {}, body.get("reasoning") or {}
    form = text.get("format") or {"type": "text"} if isinstance(text, dict) else None
    if not isinstance(text, dict) or not isinstance(form, dict):
        raise ValueError("text: not an object")
    if not isinstance(reasoning, dict):
        raise ValueError("reasoning: not an object")
    if form.get("type") == "json_schema":
        schema = {name: value for name, value in form.items() if name != "type"}
        asked["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif form.get("type") == "json_object":
        asked["response_format"] = {"type": "json_object"}
    elif form.get("type") != "text":
        raise ValueError(f"text.format: `{form.get('type')}` cannot be asked of the model behind")
    if text.get("verbosity") is not None:
        asked["verbosity"] = text["verbosity"]
    if reasoning.get("effort") is not None:
        asked["reasoning_effort"] = reasoning["effort"]


def _messages(body: Mapping[str, Any]) -> list[Json]:
    messages: list[Json] = []
    if body.get("instructions"):
        messages.append({"role": "system", "content": body["instructions"]})
    given = body.get("input")
    if isinstance(given, str):
        messages.append({"role": "user", "content": given})
    elif isinstance(given, list):
        for place, item in enumerate(given):
            if not isinstance(item, dict):
                raise ValueError(f"input[{place}]: not an object")
            kind = item.get("type", "message" if "role" in item else "item_reference")
            take = _ITEMS.get(kind) if isinstance(kind, str) else None
            if take is None:
                raise ValueError(f"input[{place}]: `{kind}` cannot be told to the model behind")
            take(item, f"input[{place}]", messages)
    elif given is not None:
        raise ValueError("input: neither a string nor a list")
    # Thoughts of turns that are over are no use to a model, and some refuse them; those of the turn in hand go with it.
    turn = max((place for place, message in enumerate(messages) if message["role"] == "user"), default=-1)
    for message in messages[: turn + 1]:
        message.pop("reasoning_content", None)
    # Thoughts that nothing came of cannot be told.
    return [message for message in messages if message.keys() - {"role", "reasoning_content"}]


def _take_message(item: Json, where: str, messages: list[Json]) -> None:
    role = _ROLES.get(str(item.get("role")))
    if role is None:
        raise ValueError(f"{where}.role: `{item.get('role')}` is unknown")
    content = item.get("content")
    if role == "assistant":
        _take_said(content, f"{where}.content", messages)
        return
    if isinstance(content, str):
        messages.append({"role": role, "content": content})
        return
    parts = [_part(part, f"{where}.content[{place}]") for place, part in enumerate(_list(content, f"{where}.content"))]
    plain = len(parts) == 1 and parts[0]["type"] == "text"
    messages.append({"role": role, "content": parts[0]["text"] if plain else parts})


def _take_said(content: object, where: str, messages: list[Json]) -> None:
    """What the model said; it goes with what it thought and did just before."""
    said, refused = [], []
    for place, part in enumerate([{"text": content}] if isinstance(content, str) else _list(content, where)):
        if isinstance(part.get("refusal"), str):
            refused.append(part["refusal"])
        elif isinstance(part.get("text"), str):
            said.append(part["text"])
        else:
            raise ValueError(f"{where}[{place}]: `{part.get('type')}` cannot be told to the model behind")
    turn = _own(messages)
    # Two messages in a row are two: joined, they would be one that was never said.
    if "content" in turn or "tool_calls" in turn or "refusal" in turn:
        messages.append(turn := {"role": "assistant"})
    if refused:
        turn["refusal"] = "\n".join(refused)
    if said or not refused:
        turn["content"] = "\n".join(said)
    else:
        turn["content"] = None


def _take_call(item: Json, where: str, messages: list[Json]) -> None:
    custom = item["type"] == "custom_tool_call"
    member = "input" if custom else "arguments"
    for name in (member, "name", "call_id"):
        if not isinstance(item.get(name), str):
            raise ValueError(f"{where}.{name}: missing, or not a string")
    called = {"name": item["name"], member: item[member]}
    kind = "custom" if custom else "function"
    turn = _own(messages)
    turn.setdefault("content", None)
    turn.setdefault("tool_calls", []).append({"id": item["call_id"], "type": kind, kind: called})


def _take_output(item: Json, where: str, messages: list[Json]) -> None:
    output = item.get("output")
    if not isinstance(output, str):
        texts = []
        for place, part in enumerate(_list(output, f"{where}.output")):
            if not isinstance(part.get("text"), str):
                raise ValueError(f"{where}.output[{place}]: `{part.get('type')}` cannot be given back by a tool")
            texts.append(part["text"])
        output = "\n".join(texts)
    messages.append({"role": "tool", "tool_call_id": item.get("call_id", ""), "content": output})


def _take_reasoning(item: Json, where: str, messages: list[Json]) -> None:
    thought: list[str] = []
    for name in ("content", "summary"):
        parts = _list(item.get(name) or [], f"{where}.{name}")
        thought = thought or [part["text"] for part in parts if isinstance(part.get("text"), str) and part["text"]]
    if thought:
        messages.append({"role": "assistant", "reasoning_content": "\n".join(thought)})


_ITEMS: dict[object, Callable[[Json, str, list[Json]], None]] = {
    "message": _take_message,
    "function_call": _take_call,
    "custom_tool_call": _take_call,
    "function_call_output": _take_output,
    "custom_tool_call_output": _take_output,
    "reasoning": _take_reasoning,
}


def _own(messages: list[Json]) -> Json:
    """The message in which the model is speaking."""
    if not messages or messages[-1]["role"] != "assistant":
        messages.append({"role": "assistant"})
    return messages[-1]


def _list(value: object, where: str) -> list[Json]:
    if not isinstance(value, list) or not all(isinstance(part, dict) for part in value):
        raise ValueError(f"{where}: not a list of parts")
    return value


def _part(part: Json, where: str) -> Json:
    kind = part.get("type")
    if kind in ("input_text", "text") and isinstance(part.get("text"), str):
        return {"type": "text", "text": part["text"]}
    if kind == "input_image" and part.get("image_url"):
        image = {"url": part["image_url"]}
        return {"type": "image_url", "image_url": image | ({"detail": part["detail"]} if part.get("detail") else {})}
    if kind == "input_file" and not part.get("file_url"):
        return {
            "type": "file",
            "file": {name: part[name] for name in ("file_data", "file_id", "filename") if name in part},
        }
    if kind == "input_audio" and isinstance(part.get("input_audio"), dict):
        return {"type": "input_audio", "input_audio": part["input_audio"]}
    raise ValueError(f"{where}: `{kind}` of this shape cannot be told to the model behind")


def _tool(tool: object, where: str) -> Json:
    if not isinstance(tool, dict):
        raise ValueError(f"{where}: not an object")
    kind = tool.get("type")
    if kind == "function":
        names = ("name", "description", "parameters", "strict")
        return {"type": "function", "function": {name: tool[name] for name in names if tool.get(name) is not None}}
    if kind == "custom":
        custom = {name: tool[name] for name in ("name", "description", "format") if tool.get(name) is not None}
        form = custom.get("format")
        if isinstance(form, dict) and form.get("type") == "grammar":
            grammar = {name: value for name, value in form.items() if name != "type"}
            custom["format"] = {"type": "grammar", "grammar": grammar}
        return {"type": "custom", "custom": custom}
    raise ValueError(f"{where}: the model behind has no `{kind}`; only functions and custom tools can be translated")


def _choice(choice: object) -> object:
    if isinstance(choice, str):
        return choice
    kind = choice.get("type") if isinstance(choice, dict) else None
    if isinstance(choice, dict):
        if kind in ("function", "custom"):
            return {"type": kind, kind: {"name": choice.get("name")}}
        if kind == "allowed_tools":
            tools = [_choice(tool) for tool in choice.get("tools") or ()]
            return {"type": kind, kind: {"mode": choice.get("mode", "auto"), "tools": tools}}
    raise ValueError(f"tool_choice: the model behind has no `{kind}`")
