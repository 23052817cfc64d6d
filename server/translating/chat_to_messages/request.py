"""A chat completions request, as Messages say it."""

from __future__ import annotations

import re
from typing import Any

from server.translating._shapes import Json, a_list, a_text, an_object, arguments, refuse_set, text_block

MOST_TOKENS = 4096
"""Of an answer, where the request names no bound."""

_SAME = ("model", "top_p", "top_k", "stream")
_NOWHERE = (
    "logprobs top_logprobs logit_bias frequency_penalty presence_penalty audio functions function_call "
    "web_search_options moderation"
).split()
_CHOICES = {"auto": "auto", "required": "any", "none": "none"}
_EMBEDDED = re.compile(r"data:([^;,]+)(?:;[^;,]+)*;base64,(.*)", re.DOTALL)
_IMAGES = frozenset(("image/jpeg", "image/png", "image/gif", "image/webp"))


def request(body: Json) -> Json:
    """A request as the upstream reads it.

    Raises:
        ValueError: it asks for what Messages cannot say.
    """
    refuse_set(body, _NOWHERE)
    if body.get("n") not in (None, 1):
        raise ValueError("n: the API behind this server gives one answer at a time")
    if any(kind != "text" for kind in a_list(body.get("modalities") or [], "modalities")):
        raise ValueError("modalities: anything but text")
    said: Json = {name: body[name] for name in _SAME if body.get(name) is not None}
    bound = body.get("max_completion_tokens")
    bound = body.get("max_tokens") if bound is None else bound
    said["max_tokens"] = MOST_TOKENS if bound is None else bound
    system, said["messages"] = _messages(body)
    if system:
        said["system"] = system
    heat = body.get("temperature")
    if heat is not None:
        said["temperature"] = min(heat, 1) if isinstance(heat, int | float) else heat
    stop = body.get("stop")
    if stop:
        said["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    user = body.get("user") or body.get("safety_identifier")
    if user:
        said["metadata"] = {"user_id": user}
    _tools(body, said)
    _form(body, said)
    return said


def _messages(body: Json) -> tuple[list[Json], list[Json]]:
    """The texts that stand before the conversation, and the conversation."""
    system: list[Json] = []
    turns: list[Json] = []
    for number, message in enumerate(a_list(body.get("messages"), "messages")):
        place = f"messages[{number}]"
        role, content = an_object(message, place).get("role"), message.get("content")
        at = f"{place}.content"
        if role in ("system", "developer"):
            blocks = _texts(content, at)
            if turns:
                turns.append({"role": "system", "content": blocks})
            else:
                system += blocks
        elif role == "user":
            _add(turns, "user", [text_block(content)] if isinstance(content, str) else _parts(content, at))
        elif role == "tool":
            name = a_text(message.get("tool_call_id"), f"{place}.tool_call_id")
            _add(turns, "user", [{"type": "tool_result", "tool_use_id": name, "content": _texts(content, at)}])
        elif role == "assistant":
            _add(turns, "assistant", _assistant(message, place))
        else:
            raise ValueError(f"{place}.role: `{role}`")
    return system, turns


def _add(turns: list[Json], role: str, blocks: list[Json]) -> None:
    """Add blocks to the turn of whoever spoke last, or begin a turn: results of one turn's calls belong together."""
    if not blocks:
        return
    if turns and turns[-1]["role"] == role:
        turns[-1]["content"] += blocks
    else:
        turns.append({"role": role, "content": blocks})


def _texts(content: object, place: str) -> list[Json]:
    """A string or text parts as text blocks; empty ones, which the upstream does not take, are left out."""
    if content is None:
        return []
    if isinstance(content, str):
        return [text_block(content)] if content else []
    blocks = []
    for number, part in enumerate(a_list(content, place)):
        at = f"{place}[{number}]"
        kind = an_object(part, at).get("type")
        if kind not in ("text", "refusal"):
            raise ValueError(f"{at}: a part of type `{kind}` in a text")
        if text := a_text(part.get(kind), f"{at}.{kind}"):
            blocks.append(text_block(text))
    return blocks


def _assistant(message: Json, place: str) -> list[Json]:
    if message.get("audio") is not None or message.get("function_call") is not None:
        raise ValueError(f"{place}: a sound, or a call in the form before `tool_calls`")
    blocks = _texts(message.get("content"), f"{place}.content") + _texts(message.get("refusal"), f"{place}.refusal")
    for number, call in enumerate(a_list(message.get("tool_calls") or [], f"{place}.tool_calls")):
        at = f"{place}.tool_calls[{number}]"
        if an_object(call, at).get("type") not in (None, "function"):
            raise ValueError(f"{at}: a call of type `{call['type']}`")
        function = an_object(call.get("function"), f"{at}.function")
        name = a_text(function.get("name"), f"{at}.function.name")
        given = arguments(function.get("arguments"), f"{at}.function.arguments")
        blocks.append({"type": "tool_use", "id": a_text(call.get("id"), f"{at}.id"), "name": name, "input": given})
    return blocks


def _parts(content: object, place: str) -> list[Json]:
    blocks: list[Json] = []
    for number, part in enumerate(a_list(content, place)):
        at = f"{place}[{number}]"
        kind = an_object(part, at).get("type")
        if kind == "text":
            if text := a_text(part.get("text"), f"{at}.text"):
                blocks.append(text_block(text))
        elif kind == "image_url":
            url = a_text(an_object(part.get("image_url"), f"{at}.image_url").get("url"), f"{at}.image_url.url")
            blocks.append({"type": "image", "source": _image(url, f"{at}.image_url.url")})
        elif kind == "file":
            blocks.append(_file(an_object(part.get("file"), f"{at}.file"), f"{at}.file"))
        else:
            raise ValueError(f"{at}: a part of type `{kind}`")
    return blocks


def _image(url: str, place: str) -> Json:
    if not url.startswith("data:"):
        return {"type": "url", "url": url}
    found = _EMBEDDED.fullmatch(url)
    if found is None or found[1] not in _IMAGES:
        raise ValueError(f"{place}: no JPEG, PNG, GIF or WebP in base64")
    return {"type": "base64", "media_type": found[1], "data": found[2]}


def _file(file: Json, place: str) -> Json:
    found = _EMBEDDED.fullmatch(a_text(file.get("file_data"), f"{place}.file_data"))
    if found is None or found[1] != "application/pdf":
        raise ValueError(f"{place}.file_data: no PDF in base64")
    block: Json = {
        "type": "document",
        "source": {"type": "base64", "media_type": "application/pdf", "data": found[2]},
    }
    return {**block, "title": file["filename"]} if file.get("filename") else block


def _tools(body: Json, said: Json) -> None:
    tools: list[Json] = []
    for number, tool in enumerate(a_list(body.get("tools") or [], "tools")):
        place = f"tools[{number}]"
        if an_object(tool, place).get("type") != "function":
            raise ValueError(f"{place}: a tool of type `{tool.get('type')}`")
        function = an_object(tool.get("function"), f"{place}.function")
        one: Json = {"name": a_text(function.get("name"), f"{place}.function.name")}
        if function.get("description") is not None:
            one["description"] = function["description"]
        one["input_schema"] = function.get("parameters") or {"type": "object", "properties": {}}
        if function.get("strict") is not None:
            one["strict"] = function["strict"]
        tools.append(one)
    if not tools:
        return
    said["tools"] = tools
    choice: Any = body.get("tool_choice")
    asked: Json | None = None
    if isinstance(choice, str) and choice in _CHOICES:
        asked = {"type": _CHOICES[choice]}
    elif isinstance(choice, dict) and choice.get("type") == "function":
        function = an_object(choice.get("function"), "tool_choice.function")
        asked = {"type": "tool", "name": a_text(function.get("name"), "tool_choice.function.name")}
    elif choice is not None:
        raise ValueError("tool_choice: neither `auto`, `required`, `none` nor a function")
    if body.get("parallel_tool_calls") is False and choice != "none":
        asked = {**(asked or {"type": "auto"}), "disable_parallel_tool_use": True}
    if asked is not None:
        said["tool_choice"] = asked


def _form(body: Json, said: Json) -> None:
    output: Json = {}
    form = an_object(body.get("response_format") or {"type": "text"}, "response_format")
    if form.get("type") == "json_schema":
        schema = an_object(form.get("json_schema"), "response_format.json_schema").get("schema")
        output["format"] = {"type": "json_schema", "schema": an_object(schema, "response_format.json_schema.schema")}
    elif form.get("type") != "text":
        raise ValueError(f"response_format: a format of type `{form.get('type')}`")
    effort = body.get("reasoning_effort")
    if effort == "none":
        said["thinking"] = {"type": "disabled"}
    elif effort is not None:
        output["effort"] = "low" if effort == "minimal" else effort
        last: list[Json] = said["messages"][-1]["content"] if said["messages"] else []
        if not any(block["type"] == "tool_result" for block in last):
            said["thinking"] = {"type": "adaptive"}
    if output:
        said["output_config"] = output
