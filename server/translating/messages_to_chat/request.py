"""A Messages request, as chat completions say it."""

from __future__ import annotations

from typing import Any

from server.translating._shapes import Json, a_list, a_text, an_object, refuse_set, text_block, written

_SAME = ("model", "temperature", "top_p", "top_k", "stream")
_NOWHERE = ("container", "mcp_servers", "thread", "inference_geo", "fallbacks", "compaction")
"""Fields that change what the model is shown, or where it runs."""
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
_EFFORTS = ((2048, "low"), (8192, "medium"))
"""Tokens of reasoning up to which an effort is meant; above, `high`."""


def request(body: Json) -> Json:
    """A request as the upstream reads it.

    Raises:
        ValueError: it asks for what chat completions cannot say.
    """
    refuse_set(body, _NOWHERE)
    said = {name: body[name] for name in _SAME if body.get(name) is not None}
    said["messages"] = _messages(body)
    if body.get("max_tokens") is not None:
        said["max_completion_tokens"] = body["max_tokens"]
    if body.get("stop_sequences"):
        said["stop"] = body["stop_sequences"]
    if said.get("stream"):
        said["stream_options"] = {"include_usage": True}
    user = an_object(body.get("metadata") or {}, "metadata").get("user_id")
    if user is not None:
        said["user"] = user
    _tools(body, said)
    _reasoning(body, said)
    return said


def _messages(body: Json) -> list[Json]:
    turns: list[Json] = []
    system = body.get("system")
    if system:
        turns.append({"role": "system", "content": _texts(system, "system")})
    for number, message in enumerate(a_list(body.get("messages"), "messages")):
        place = f"messages[{number}]"
        role, content = an_object(message, place).get("role"), message.get("content")
        if role == "system":
            turns.append({"role": "system", "content": _texts(content, f"{place}.content")})
        elif role == "assistant":
            turns.append(_assistant(content, f"{place}.content"))
        elif role == "user":
            turns += _user(content, f"{place}.content")
        else:
            raise ValueError(f"{place}.role: not one of `user`, `assistant`, `system`")
    if turns and turns[-1]["role"] == "assistant":
        raise ValueError(f"messages[{len(body['messages']) - 1}]: an answer begun by the client cannot be gone on with")
    return turns


def _texts(content: object, place: str) -> str:
    """Text blocks as one text, joined as the guard has read them."""
    if isinstance(content, str):
        return content
    texts = []
    for number, block in enumerate(a_list(content, place)):
        at = f"{place}[{number}]"
        if an_object(block, at).get("type") != "text":
            raise ValueError(f"{at}: a block of type `{block.get('type')}` in a text")
        texts.append(a_text(block.get("text"), f"{at}.text"))
    return "\n".join(texts)


def _assistant(content: object, place: str) -> Json:
    if isinstance(content, str):
        return {"role": "assistant", "content": content}
    texts: list[str] = []
    calls: list[Json] = []
    for number, block in enumerate(a_list(content, place)):
        at = f"{place}[{number}]"
        kind = an_object(block, at).get("type")
        if kind == "text":
            texts.append(a_text(block.get("text"), f"{at}.text"))
        elif kind == "tool_use":
            function = {
                "name": a_text(block.get("name"), f"{at}.name"),
                "arguments": written(an_object(block.get("input"), f"{at}.input"), f"{at}.input"),
            }
            calls.append({"id": a_text(block.get("id"), f"{at}.id"), "type": "function", "function": function})
        elif kind not in ("thinking", "redacted_thinking"):
            raise ValueError(f"{at}: a block of type `{kind}`")
    turn: Json = {"role": "assistant", "content": "\n".join(texts) if texts or not calls else None}
    return {**turn, "tool_calls": calls} if calls else turn


def _user(content: object, place: str) -> list[Json]:
    if isinstance(content, str):
        return [{"role": "user", "content": content}]
    results: list[Json] = []
    parts: list[Json] = []
    for number, block in enumerate(a_list(content, place)):
        at = f"{place}[{number}]"
        if an_object(block, at).get("type") == "tool_result":
            result, images = _result(block, at)
            results.append(result)
            parts += images
        else:
            parts += _parts(block, at)
    if not parts and results:
        return results
    if all(part["type"] == "text" for part in parts):
        return [*results, {"role": "user", "content": "\n".join(part["text"] for part in parts)}]
    return [*results, {"role": "user", "content": parts}]


def _result(block: Json, place: str) -> tuple[Json, list[Json]]:
    content = block.get("content")
    parts: list[Json] = []
    if isinstance(content, str):
        parts = [text_block(content)]
    elif content is not None:
        for number, inner in enumerate(a_list(content, f"{place}.content")):
            parts += _parts(an_object(inner, f"{place}.content[{number}]"), f"{place}.content[{number}]")
    text = "\n".join(part["text"] for part in parts if part["type"] == "text")
    if block.get("is_error") is True:
        text = f"Error: {text}"
    name = a_text(block.get("tool_use_id"), f"{place}.tool_use_id")
    turn = {"role": "tool", "tool_call_id": name, "content": text}
    return turn, [part for part in parts if part["type"] != "text"]


def _parts(block: Json, place: str) -> list[Json]:
    """A block of a user's turn as content parts."""
    kind = block.get("type")
    if kind == "text":
        return [text_block(a_text(block.get("text"), f"{place}.text"))]
    if kind == "image":
        return [{"type": "image_url", "image_url": {"url": _address(block.get("source"), f"{place}.source")}}]
    if kind == "search_result":
        head = [a_text(block.get(name), f"{place}.{name}") for name in ("source", "title")]
        return [text_block("\n".join([*head, _texts(block.get("content"), f"{place}.content")]))]
    if kind == "document":
        return _document(block, place)
    raise ValueError(f"{place}: a block of type `{kind}`")


def _document(block: Json, place: str) -> list[Json]:
    source = an_object(block.get("source"), f"{place}.source")
    kind, title = source.get("type"), block.get("title")
    named = ("context",) if kind == "base64" else ("title", "context")  # the title names the file
    head = [text_block(a_text(block[name], f"{place}.{name}")) for name in named if block.get(name)]
    if kind == "text":
        return [*head, text_block(a_text(source.get("data"), f"{place}.source.data"))]
    if kind == "content":
        content = source.get("content")
        if isinstance(content, str):
            return [*head, text_block(content)]
        inner = a_list(content, f"{place}.source.content")
        at = f"{place}.source.content"
        said = [part for n, each in enumerate(inner) for part in _parts(an_object(each, f"{at}[{n}]"), f"{at}[{n}]")]
        return [*head, *said]
    if kind == "base64":
        file = {"filename": title or "document.pdf", "file_data": _address(source, f"{place}.source")}
        return [*head, {"type": "file", "file": file}]
    raise ValueError(f"{place}.source: a document of type `{kind}`")


def _address(source: object, place: str) -> str:
    kind = an_object(source, place).get("type")
    source = an_object(source, place)
    if kind == "url":
        return a_text(source.get("url"), f"{place}.url")
    if kind == "base64":
        media = a_text(source.get("media_type"), f"{place}.media_type")
        return f"data:{media};base64,{a_text(source.get('data'), f'{place}.data')}"
    raise ValueError(f"{place}: a source of type `{kind}`")


def _tools(body: Json, said: Json) -> None:
    tools: list[Json] = []
    for number, tool in enumerate(a_list(body.get("tools") or [], "tools")):
        place = f"tools[{number}]"
        if an_object(tool, place).get("type") not in (None, "custom"):
            raise ValueError(f"{place}: `{tool['type']}` is a tool that only Anthropic's models have")
        function: Json = {"name": a_text(tool.get("name"), f"{place}.name")}
        if tool.get("description") is not None:
            function["description"] = tool["description"]
        function["parameters"] = an_object(tool.get("input_schema"), f"{place}.input_schema")
        if tool.get("strict") is not None:
            function["strict"] = tool["strict"]
        tools.append({"type": "function", "function": function})
    if tools:
        said["tools"] = tools
    choice = body.get("tool_choice")
    if choice is None:
        return
    kind: Any = an_object(choice, "tool_choice").get("type")
    if kind == "tool":
        name = a_text(choice.get("name"), "tool_choice.name")
        said["tool_choice"] = {"type": "function", "function": {"name": name}}
    elif isinstance(kind, str) and kind in _CHOICES:
        said["tool_choice"] = _CHOICES[kind]
    else:
        raise ValueError(f"tool_choice: a choice of type `{kind}`")
    if choice.get("disable_parallel_tool_use") is True:
        said["parallel_tool_calls"] = False


def _reasoning(body: Json, said: Json) -> None:
    thinking = an_object(body.get("thinking") or {}, "thinking")
    output = an_object(body.get("output_config") or {}, "output_config")
    if output.get("effort") is not None:
        said["reasoning_effort"] = output["effort"]
    elif thinking.get("type") == "enabled" and isinstance(thinking.get("budget_tokens"), int):
        budget = thinking["budget_tokens"]
        said["reasoning_effort"] = next((effort for most, effort in _EFFORTS if budget <= most), "high")
    form = output.get("format")
    if form is not None:
        if an_object(form, "output_config.format").get("type") != "json_schema":
            raise ValueError(f"output_config.format: a format of type `{form.get('type')}`")
        schema = an_object(form.get("schema"), "output_config.format.schema")
        named = {"name": "answer", "schema": schema, "strict": True}
        said["response_format"] = {"type": "json_schema", "json_schema": named}


def wants_thinking(asked: Json) -> bool:
    """Whether the client expects reasoning in the answer."""
    thinking = asked.get("thinking")
    kind = thinking.get("type") if isinstance(thinking, dict) else None
    return kind not in (None, "disabled")
