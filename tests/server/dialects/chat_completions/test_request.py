"""Requests: which text is seen where, what is refused, and how texts are replaced."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.exchange import Message
from guard.guarding.incoming import Unscannable
from guard.window.outcomes import Channel
from server.dialects.base import BadRequest
from server.dialects.chat_completions import DIALECT

TEXT, REASONING = Channel(), Channel("reasoning")


def asked(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": list(messages or ({"role": "user", "content": "hi"},)), **more}


def user(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **more}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def function(name: str = "weather", **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **more}}


def seen(body: dict[str, Any]) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in DIALECT.read(body).messages]


def call(arguments: str, name: str = "weather", **more: Any) -> dict[str, Any]:
    return {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}, **more}


def test_each_role_is_a_message_in_its_place() -> None:
    roles = ("system", "developer", "user", "assistant", "tool", "function")
    body = asked(*({"role": role, "content": f"by {role}"} for role in roles))
    assert [message.role for message in DIALECT.read(body).messages] == [
        "system",
        "system",
        "user",
        "assistant",
        "tool",
        "tool",
    ]
    assert [content for _, content in seen(body)] == [f"by {role}" for role in roles]


def test_text_parts_are_joined_and_what_is_no_text_is_told_with_its_place() -> None:
    parts = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "https://there/is.png"}},
        {"type": "text", "text": "there"},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "file", "file": {"file_id": "f"}},
        {"type": "hologram", "hologram": {}},
    ]
    incoming = DIALECT.read(asked(user("first"), user(parts)))
    assert incoming.messages[1] == Message("user", "look\nthere")
    assert incoming.unscannable == (
        Unscannable("messages[1].content[1]", "image_url"),
        Unscannable("messages[1].content[3]", "input_audio"),
        Unscannable("messages[1].content[4]", "file"),
        Unscannable("messages[1].content[5]", "hologram"),
    )


def test_what_a_text_part_has_beside_its_text_is_seen_too() -> None:
    part = {"type": "text", "text": "look", "cache_control": {"type": "ephemeral"}, "aside": "and this"}
    assert seen(asked(user([part]))) == [("user", "look\nand this")]


def test_an_assistant_turn_is_seen_in_all_its_channels() -> None:
    turn = {
        "role": "assistant",
        "content": [{"type": "text", "text": "said"}, {"type": "refusal", "refusal": "refused"}],
        "refusal": "again",
        "reasoning_content": "thought",
        "reasoning_details": [{"type": "reasoning.text", "text": "thought on", "signature": "c2lnbmVk"}],
        "tool_calls": [
            call('{"city": "Ulm"}'),
            {"id": "call_2", "type": "custom", "custom": {"name": "shell", "input": "ls"}},
        ],
        "audio": {"id": "audio_1"},
    }
    incoming = DIALECT.read(asked(turn, tools=[function()]))
    assert incoming.messages[1] == Message(
        "assistant",
        "said\nrefused\nagain",
        reasoning="thought\nthought on",
        tool_calls=('{"city": "Ulm"}', "ls", "shell"),
    )
    assert incoming.unscannable == (Unscannable("messages[0].audio", "audio"),)


def test_the_name_of_a_called_tool_is_seen_only_where_the_request_defines_no_such_tool() -> None:
    turns = ({"role": "assistant", "content": None, "tool_calls": [call("{}")]}, user("x"))
    assert DIALECT.read(asked(*turns)).messages[0].tool_calls == ("{}", "weather")
    assert DIALECT.read(asked(*turns, tools=[function()])).messages[1].tool_calls == ("{}",)
    assert DIALECT.read(asked(*turns, functions=[{"name": "weather"}])).messages[1].tool_calls == ("{}",)


def test_a_legacy_function_call_is_a_call() -> None:
    turn = {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}
    assert DIALECT.read(asked(turn, functions=[{"name": "f"}])).messages[1].tool_calls == ("{}",)


@pytest.mark.parametrize(
    "more",
    [{"name": "say this"}, {"tool_call_id": "say this"}, {"aside": {"deep": ["say this"]}}, {"say this": 1}],
    ids=["name", "id", "unknown", "member"],
)
def test_nothing_is_smuggled_in_beside_the_content(more: dict[str, Any]) -> None:
    assert seen(asked(user("hi", **more))) == [("user", "hi\nsay this")]


def test_the_ids_of_calls_and_the_names_of_tools_are_no_texts() -> None:
    turn = {"role": "tool", "content": "rain", "tool_call_id": "call_1", "name": "weather"}
    assert seen(asked(turn, tools=[function()]))[1:] == [("tool", "rain")]


def test_definitions_come_first_as_a_system_message_with_all_that_they_say() -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "description": "where"}, "day": {"enum": ["today", "tomorrow"]}},
        "required": ["city"],
    }
    body = asked(
        tools=[
            function(description="Tells the weather.", parameters=schema),
            {"type": "custom", "custom": {"name": "shell", "format": {"type": "grammar", "definition": "start: X"}}},
        ],
        response_format={"type": "json_schema", "json_schema": {"name": "report", "schema": {"title": "Report"}}},
        tool_choice={"type": "function", "function": {"name": "weather"}},
    )
    system, prompt = seen(body)
    assert prompt == ("user", "hi")
    assert system[0] == "system"
    assert system[1].split("\n") == [
        *("weather", "Tells the weather.", "city", "where", "day", "today", "tomorrow", "city"),
        *("shell", "start: X", "report", "Report", "weather"),
    ]


def test_members_that_nobody_knows_are_seen_as_the_users() -> None:
    body = asked(
        documents=[{"title": "A page", "text": "its text"}],
        prediction={"type": "content", "content": "as it may end"},
        MESSAGES=[{"role": "user", "content": "for a server that reads names as it likes"}],
        tools=[function()],
    )
    assert seen(body) == [
        ("system", "weather"),
        ("user", "A page\nits text\nas it may end\nuser\nfor a server that reads names as it likes"),
        ("user", "hi"),
    ]


def test_settings_are_no_texts() -> None:
    body = asked(
        n=2,
        stream=False,
        stop=["\n\nHuman:"],
        user="user 7",
        metadata={"team": "a b c"},
        reasoning_effort="high",
        service_tier="auto",
        modalities=["text"],
        logit_bias={"50256": -100},
        temperature=0.5,
        stream_options={"include_usage": True},
        chat_template_kwargs={"enable_thinking": True},
        safety_identifier="u-7",
        web_search_options={"search_context_size": "low"},
    )
    assert seen(body) == [("user", "hi")]
    assert seen(asked(reasoning_effort="high, and say this")) == [("user", "high, and say this"), ("user", "hi")]


def test_a_file_in_an_unknown_member_cannot_be_scanned() -> None:
    incoming = DIALECT.read(asked(user("hi", picture="data:image/png;base64,iVBOR"), extra="data:audio/wav;base64,A"))
    assert incoming.unscannable == (
        Unscannable("extra", "data_url"),
        Unscannable("messages[0].picture", "data_url"),
    )


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"model": "m"}, "messages: must be a list with at least one message"),
        (asked() | {"messages": []}, "messages: must be a list with at least one message"),
        (asked() | {"messages": "hi"}, "messages: must be a list with at least one message"),
        (asked(user("a"), "b"), "messages[1]: must be an object, not `b`"),
        (asked({"content": "a"}), "messages[0].role: unknown role `NoneType`"),
        (asked({"role": "wizard", "content": "a"}), "messages[0].role: unknown role `wizard`"),
        (asked({"role": ["user"], "content": "a"}), "messages[0].role: unknown role `list`"),
        (asked(user(7)), "messages[0].content: must be a string or a list of parts, not `7`"),
        (asked(user({"text": "a"})), "messages[0].content: must be a string or a list of parts, not `dict`"),
        (asked(user(["a"])), "messages[0].content[0]: must be an object, not `a`"),
        (asked(user([{"text": "a"}])), "messages[0].content[0].type: must be a string, not `NoneType`"),
        (asked(user([{"type": "text", "text": ["a"]}])), "messages[0].content[0].text: must be a string, not `list`"),
        (asked(user("a", refusal=["b"])), "messages[0].refusal: must be a string, not `list`"),
        (asked(user("a", tool_calls="b")), "messages[0].tool_calls: must be a list, not `b`"),
        (asked(user("a", tool_calls=["b"])), "messages[0].tool_calls[0]: must be an object, not `b`"),
        (
            asked(user("a", tool_calls=[{"function": "b"}])),
            "messages[0].tool_calls[0].function: must be an object, not `b`",
        ),
        (
            asked(user("a", tool_calls=[call({"a": 1})])),  # type: ignore[arg-type]
            "messages[0].tool_calls[0].function.arguments: must be a string, not `dict`",
        ),
        (asked(user("a", function_call=7)), "messages[0].function_call: must be an object, not `7`"),
        (asked(stream="true"), "stream: must be true or false, not `true`"),
        (asked(stream=1), "stream: must be true or false, not `1`"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(body: dict[str, Any], told: str) -> None:
    with pytest.raises(BadRequest) as refused:
        DIALECT.read(body)
    assert refused.value.what == told
    assert refused.value.hint


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["text", "user", "function"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "type", "text", "tool_calls", "function", "arguments", "name", "x y"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.lists(JSON, min_size=1, max_size=3), JSON)
def test_no_json_breaks_the_reading(messages: list[Any], tools: Any) -> None:
    body = {"model": "m", "messages": messages, "tools": tools}
    before = copy.deepcopy(body)
    try:
        incoming = DIALECT.read(body)
    except BadRequest:
        return
    edits = {(place, TEXT): "new" for place in range(len(incoming.messages))}
    DIALECT.read(DIALECT.edited(body, edits))
    assert body == before


def test_a_request_that_would_take_long_to_look_through_is_refused() -> None:
    deep: Any = "deep"
    for _ in range(200):
        deep = [deep]
    for body in (asked(aside=deep), asked(user("hi", aside=deep)), asked(tools=["a"] * 100_001)):
        with pytest.raises(BadRequest, match=r"(deeper|more) than") as refused:
            DIALECT.read(body)
        assert refused.value.where


def test_only_true_asks_for_a_stream() -> None:
    assert DIALECT.streams(asked(stream=True))
    assert not DIALECT.streams(asked(stream=False))
    assert not DIALECT.streams(asked(stream=None))
    assert not DIALECT.streams(asked())


def test_edits_go_where_the_texts_were_read() -> None:
    body = asked(
        {"role": "system", "content": "be kind"},
        user(
            [{"type": "text", "text": "one"}, {"type": "image_url", "image_url": {}}, {"type": "text", "text": "two"}]
        ),
        {"role": "assistant", "content": None, "reasoning": "why", "tool_calls": [call('{"a": "secret"}')]},
        user("plain"),
        tools=[function(description="tells secrets")],
        extra="beside",
    )
    before = copy.deepcopy(body)
    made = DIALECT.edited(
        body,
        {
            (0, TEXT): "weather\ntells [redacted]",
            (1, TEXT): "[x]",
            (3, TEXT): "one\n[y]",
            (4, Channel("tool", 0)): '{"a": "[z]"}',
            (4, REASONING): "[w]",
        },
    )
    assert body == before
    assert made["tools"][0]["function"]["description"] == "tells [redacted]"
    assert made["extra"] == "[x]"
    assert [part.get("text") for part in made["messages"][1]["content"]] == ["one", None, "[y]"]
    assert made["messages"][2]["tool_calls"][0]["function"]["arguments"] == '{"a": "[z]"}'
    assert made["messages"][2]["reasoning"] == "[w]"
    assert made["messages"][0] is body["messages"][0]
    assert made["messages"][3] is body["messages"][3]


def test_a_withheld_turn_keeps_nothing_of_its_text() -> None:
    turn = user(
        [{"type": "text", "text": "bad"}, {"type": "text", "text": "worse"}], name="worst name", aside="bad too"
    )
    made = DIALECT.edited(asked(turn), {(0, TEXT): "[withheld]"})
    assert made["messages"] == [{"role": "user", "content": [text("[withheld]")]}]
    assert DIALECT.read(made).messages == (Message("user", "[withheld]"),)


def test_a_note_is_written_into_a_turn_that_had_no_text() -> None:
    turn = {"role": "assistant", "content": None, "tool_calls": [call("{}")]}
    made = DIALECT.edited(asked(turn, user("x")), {(0, TEXT): "[withheld]"})
    assert made["messages"][0]["content"] == "[withheld]"


@given(st.data())
def test_whatever_is_edited_is_read_back(data: st.DataObject) -> None:
    lines = st.text(alphabet="ab ", min_size=1, max_size=5)
    body = asked(
        user([text(data.draw(lines)), text(data.draw(lines))]),
        user(data.draw(lines), name="two words"),
        tools=[function(description=data.draw(lines))],
    )
    place = data.draw(st.integers(0, 2))
    edited = data.draw(lines)
    made = DIALECT.edited(body, {(place, TEXT): edited})
    assert DIALECT.read(made).messages[place].content.replace("\n", "") == edited


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": [{"type": "text", "text": "hi", "odd": {"text": "say how"}}]},
        {"role": "user", "content": [{"type": "text", "text": "hi", "odd": {"type": "say how"}}]},
        {"role": "assistant", "content": "hi", "reasoning_details": [{"text": "so", "signature": "say how"}]},
    ],
    ids=["text", "type", "signature"],
)
def test_a_text_where_only_machines_should_write_is_read(message: Any) -> None:
    (seen,) = DIALECT.read({"model": "m", "messages": [message]}).messages
    assert "say how" in f"{seen.content}\n{seen.reasoning}"
