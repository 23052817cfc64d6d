"""What a client asks, with a text in one of the places that an API's requests have."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any, TypeAlias

from tests.server.bypass.answering import alike, escaped, hidden, text

Json: TypeAlias = dict[str, Any]
Build: TypeAlias = Callable[[str], Json]
HELLO = "What does the harbour look like?"


def user(content: Any, **more: Any) -> Json:
    """A user's turn."""
    return {"role": "user", "content": content, **more}


def assistant(content: Any, **more: Any) -> Json:
    """A turn of the model."""
    return {"role": "assistant", "content": content, **more}


def chat(*turns: Json, **more: Any) -> Json:
    """A request for a chat completion."""
    return {"model": "fake", "messages": list(turns), **more}


def messages(*turns: Json, **more: Any) -> Json:
    """A request for a message."""
    return {"model": "fake", "max_tokens": 100, "messages": list(turns), **more}


def responses(given: Any, **more: Any) -> Json:
    """A request for a response."""
    return {"model": "fake", "input": given, **more}


def _chat_tool(**more: Any) -> Json:
    return {"type": "function", "function": {"name": "look_up", "parameters": _schema(), **more}}


def _tool(**more: Any) -> Json:
    return {"name": "look_up", "input_schema": _schema(), **more}


def _function(**more: Any) -> Json:
    return {"type": "function", "name": "look_up", "parameters": _schema(), **more}


def _schema(said: str = "what to look for") -> Json:
    return {"type": "object", "properties": {"q": {"type": "string", "description": said}}}


def _named(said: str) -> Json:
    return {"type": "object", "properties": {said: {"type": "string"}}}


def _call(arguments: str) -> Json:
    call = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": arguments}}
    return assistant(None, tool_calls=[call])


def _use(value: Json) -> Json:
    return assistant([{"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": value}])


def _function_call(arguments: str) -> Json:
    return {"type": "function_call", "call_id": "call_1", "name": "look_up", "arguments": arguments}


def _result(content: Any) -> Json:
    return user([{"type": "tool_result", "tool_use_id": "toolu_1", "content": content}])


def _input(*parts: Json) -> list[Json]:
    return [{"role": "user", "content": list(parts)}]


def _in(said: str) -> Json:
    return {"type": "input_text", "text": said}


def _args(said: str) -> str:
    return json.dumps({"q": said})


def encoded(said: str) -> str:
    """In base64."""
    return base64.b64encode(f"please {said} for me".encode()).decode()


PROMPTS: dict[str, dict[str, Build]] = {
    "text": {
        "chat_completions": lambda said: chat(user(f"Please {said}.")),
        "messages": lambda said: messages(user(f"Please {said}.")),
        "responses": lambda said: responses(f"Please {said}."),
    },
    "a message among others": {
        "chat_completions": lambda said: chat(user(f"Please {said}."), user(HELLO)),
        "messages": lambda said: messages(user(f"Please {said}."), user(HELLO)),
        "responses": lambda said: responses([user(f"Please {said}."), user(HELLO)]),
    },
    "the system prompt": {
        "chat_completions": lambda said: chat({"role": "system", "content": f"Always {said}."}, user(HELLO)),
        "messages": lambda said: messages(user(HELLO), system=f"Always {said}."),
        "responses": lambda said: responses(HELLO, instructions=f"Always {said}."),
    },
    "a block of the system prompt": {
        "chat_completions": lambda said: chat({"role": "developer", "content": [text(said)]}, user(HELLO)),
        "messages": lambda said: messages(user(HELLO), system=[text("Be kind."), text(f"Always {said}.")]),
        "responses": lambda said: responses([{"role": "developer", "content": [_in(said)]}, user(HELLO)]),
    },
    "content parts": {
        "chat_completions": lambda said: chat(user([text(HELLO), text(f"Please {said}.")])),
        "messages": lambda said: messages(user([text(HELLO), text(f"Please {said}.")])),
        "responses": lambda said: responses(_input(_in(HELLO), _in(f"Please {said}."))),
    },
    "two content parts together": {
        "chat_completions": lambda said: chat(user([text("Please " + _head(said)), text(_tail(said))])),
        "messages": lambda said: messages(user([text("Please " + _head(said)), text(_tail(said))])),
        "responses": lambda said: responses(_input(_in("Please " + _head(said)), _in(_tail(said)))),
    },
    "two turns together": {
        "chat_completions": lambda said: chat(
            user("Please " + _head(said)), assistant("What do you mean?"), user(_tail(said))
        ),
        "messages": lambda said: messages(
            user("Please " + _head(said)), assistant("What do you mean?"), user(_tail(said))
        ),
        "responses": lambda said: responses(
            [user("Please " + _head(said)), assistant("What do you mean?"), user(_tail(said))]
        ),
    },
    "a tool result": {
        "chat_completions": lambda said: chat(
            user(HELLO), _call("{}"), {"role": "tool", "tool_call_id": "call_1", "content": f"To {said}."}
        ),
        "messages": lambda said: messages(user(HELLO), _use({}), _result(f"To {said}.")),
        "responses": lambda said: responses(
            [
                user(HELLO),
                _function_call("{}"),
                {"type": "function_call_output", "call_id": "call_1", "output": f"To {said}."},
            ]
        ),
    },
    "a part of a tool result": {
        "chat_completions": lambda said: chat(
            user(HELLO), _call("{}"), {"role": "tool", "tool_call_id": "call_1", "content": [text(said)]}
        ),
        "messages": lambda said: messages(user(HELLO), _use({}), _result([text("Found:"), text(f"To {said}.")])),
        "responses": lambda said: responses(
            [
                user(HELLO),
                _function_call("{}"),
                {"type": "function_call_output", "call_id": "call_1", "output": [_in(f"To {said}.")]},
            ]
        ),
    },
    "the description of a tool": {
        "chat_completions": lambda said: chat(user(HELLO), tools=[_chat_tool(description=said)]),
        "messages": lambda said: messages(user(HELLO), tools=[_tool(description=said)]),
        "responses": lambda said: responses(HELLO, tools=[_function(description=said)]),
    },
    "the description of a tool's argument": {
        "chat_completions": lambda said: chat(user(HELLO), tools=[_chat_tool(parameters=_schema(said))]),
        "messages": lambda said: messages(user(HELLO), tools=[_tool(input_schema=_schema(said))]),
        "responses": lambda said: responses(HELLO, tools=[_function(parameters=_schema(said))]),
    },
    "the name of a tool's argument": {
        "chat_completions": lambda said: chat(user(HELLO), tools=[_chat_tool(parameters=_named(said))]),
        "messages": lambda said: messages(user(HELLO), tools=[_tool(input_schema=_named(said))]),
        "responses": lambda said: responses(HELLO, tools=[_function(parameters=_named(said))]),
    },
    "the name of a tool": {
        "chat_completions": lambda said: chat(user(HELLO), tools=[_chat_tool(name=said)]),
        "messages": lambda said: messages(user(HELLO), tools=[_tool(name=said)]),
        "responses": lambda said: responses(HELLO, tools=[_function(name=said)]),
    },
    "the shape of the answer": {
        "chat_completions": lambda said: chat(
            user(HELLO),
            response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": _schema(said)}},
        ),
        "messages": lambda said: messages(
            user(HELLO), output_config={"format": {"type": "json_schema", "schema": _schema(said)}}
        ),
        "responses": lambda said: responses(
            HELLO, text={"format": {"type": "json_schema", "name": "x", "schema": _schema(said)}}
        ),
    },
    "an unknown field": {
        "chat_completions": lambda said: chat(user(HELLO), made_up={"deep": [said]}),
        "messages": lambda said: messages(user(HELLO), made_up={"deep": [said]}),
        "responses": lambda said: responses(HELLO, made_up={"deep": [said]}),
    },
    "an unknown field of a message": {
        "chat_completions": lambda said: chat(user(HELLO, made_up={"deep": [said]})),
        "responses": lambda said: responses([user(HELLO, made_up={"deep": [said]})]),
    },
    "a beginning of the answer": {
        "chat_completions": lambda said: chat(user(HELLO), assistant(f"Sure: first {said} and")),
        "messages": lambda said: messages(user(HELLO), assistant(f"Sure: first {said} and")),
        "responses": lambda said: responses([user(HELLO), assistant(f"Sure: first {said} and")]),
    },
    "base64": {
        "chat_completions": lambda said: chat(user(f"Decode and do {encoded(said)}")),
        "messages": lambda said: messages(user(f"Decode and do {encoded(said)}")),
        "responses": lambda said: responses(f"Decode and do {encoded(said)}"),
    },
    "zero-width characters": {
        "chat_completions": lambda said: chat(user(f"Please {hidden(said)}.")),
        "messages": lambda said: messages(user(f"Please {hidden(said)}.")),
        "responses": lambda said: responses(f"Please {hidden(said)}."),
    },
    "letters of another alphabet": {
        "chat_completions": lambda said: chat(user(f"Please {alike(said)}.")),
        "messages": lambda said: messages(user(f"Please {alike(said)}.")),
        "responses": lambda said: responses(f"Please {alike(said)}."),
    },
    "text with NUL characters": {
        "chat_completions": lambda said: chat(user("\0".join(said))),
        "messages": lambda said: messages(user("\0".join(said))),
        "responses": lambda said: responses("\0".join(said)),
    },
    "letters escaped twice": {
        "chat_completions": lambda said: chat(user(HELLO), assistant("Yes?"), user(escaped(said))),
        "messages": lambda said: messages(user(HELLO), assistant("Yes?"), user(escaped(said))),
        "responses": lambda said: responses([user(HELLO), assistant("Yes?"), user(escaped(said))]),
    },
}
"""Place -> API -> a request with a text there, which is new: the request is blocked."""

OLD: dict[str, dict[str, Build]] = {
    "an old turn of the user": {
        "chat_completions": lambda said: chat(user(f"Please {said}."), assistant("No."), user(HELLO)),
        "messages": lambda said: messages(user(f"Please {said}."), assistant("No."), user(HELLO)),
        "responses": lambda said: responses([user(f"Please {said}."), assistant("No."), user(HELLO)]),
    },
    "an old answer": {
        "chat_completions": lambda said: chat(user("How?"), assistant(f"First {said}."), user(HELLO)),
        "messages": lambda said: messages(user("How?"), assistant(f"First {said}."), user(HELLO)),
        "responses": lambda said: responses([user("How?"), assistant(f"First {said}."), user(HELLO)]),
    },
    "the arguments of an old tool call": {
        "chat_completions": lambda said: chat(
            user(HELLO), _call(_args(said)), {"role": "tool", "tool_call_id": "call_1", "content": "Nothing."}
        ),
        "messages": lambda said: messages(user(HELLO), _use({"q": said}), _result("Nothing.")),
        "responses": lambda said: responses(
            [
                user(HELLO),
                _function_call(_args(said)),
                {"type": "function_call_output", "call_id": "call_1", "output": "Nothing."},
            ]
        ),
    },
    "an old tool result": {
        "chat_completions": lambda said: chat(
            user(HELLO),
            _call("{}"),
            {"role": "tool", "tool_call_id": "call_1", "content": f"To {said}."},
            assistant("I see."),
            user("And?"),
        ),
        "messages": lambda said: messages(
            user(HELLO), _use({}), _result(f"To {said}."), assistant("I see."), user("And?")
        ),
        "responses": lambda said: responses(
            [
                user(HELLO),
                _function_call("{}"),
                {"type": "function_call_output", "call_id": "call_1", "output": f"To {said}."},
                assistant("I see."),
                user("And?"),
            ]
        ),
    },
    "old reasoning": {
        "chat_completions": lambda said: chat(
            user(HELLO), assistant("It is blue.", reasoning_content=f"They want to {said}."), user("And?")
        ),
        "messages": lambda said: messages(
            user(HELLO),
            assistant(
                [
                    {"type": "thinking", "thinking": f"They want to {said}.", "signature": "c2ln"},
                    text("It is blue."),
                ]
            ),
            user("And?"),
        ),
        "responses": lambda said: responses(
            [
                user(HELLO),
                {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": said}]},
                assistant("It is blue."),
                user("And?"),
            ]
        ),
    },
}
"""Place -> API -> a request with a text there, which is old: the model is not shown it, and the request goes on."""


def _head(said: str) -> str:
    return said.rpartition(" ")[0]


def _tail(said: str) -> str:
    return said.rpartition(" ")[2]
