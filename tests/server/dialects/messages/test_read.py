"""Requests: what is read, where it stood, and how it is replaced."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from guard.exchange import Message
from guard.guarding.incoming import Unscannable
from guard.window.outcomes import Channel
from server.dialects.base import BadRequest
from server.dialects.messages import DIALECT

TEXT = Channel("text")

IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}}
TOOL = {
    "name": "weather",
    "description": "The weather in a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string", "description": "Its name."}}},
}


def asked(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"model": "claude", "max_tokens": 10, "messages": list(messages), **more}


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def result(content: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": "toolu_1", "content": content}


LONG = asked(
    {"role": "user", "content": "Weather in Oslo?"},
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "A call.", "signature": "c2ln"},
            {"type": "redacted_thinking", "data": "ZW5j"},
            text("I look."),
            CALL,
        ],
    },
    user(result([text("Rain."), text("Cold."), IMAGE]), result("And wind."), text("And"), text("now?")),
    system=[text("Be brief."), text("Be kind.")],
    tools=[TOOL],
)


def test_every_text_of_a_conversation_is_read_in_its_order() -> None:
    incoming = DIALECT.read(LONG)
    assert incoming.messages == (
        Message("system", "Be brief.\nBe kind."),
        Message("system", "weather\nThe weather in a city.\ncity\nIts name."),
        Message("user", "Weather in Oslo?"),
        Message("assistant", "I look.", reasoning="A call.", tool_calls=('{"city":"Oslo"}',)),
        Message("tool", "Rain.\nCold."),
        Message("tool", "And wind."),
        Message("user", "And\nnow?"),
    )
    assert incoming.unscannable == (Unscannable("messages[2].content[0].content[2]", "image"),)


def test_edits_go_back_to_the_blocks_that_the_texts_came_from() -> None:
    before = deepcopy(LONG)
    edits = {
        (0, TEXT): "Be brief.\n[redacted]",
        (1, TEXT): "weather\n[redacted]\n[key]\nIts name.",
        (3, Channel("tool")): '{"city":"[redacted]"}',
        (4, TEXT): "withheld",
        (5, TEXT): "[redacted] wind.",
        (6, TEXT): "And\nthen?",
    }
    body = DIALECT.edited(LONG, edits)
    assert before == LONG
    assert body["system"] == [text("Be brief."), text("[redacted]")]
    assert body["tools"][0]["description"] == "[redacted]"
    assert body["tools"][0]["input_schema"]["properties"] == {"[key]": {"type": "string", "description": "Its name."}}
    assert body["messages"][1]["content"][3]["input"] == {"city": "[redacted]"}
    assert body["messages"][2] == user(
        result([text("withheld"), IMAGE]), result("[redacted] wind."), text("And"), text("then?")
    )


def test_reasoning_that_is_edited_loses_its_block_as_its_signature_vouches_for_it() -> None:
    body = DIALECT.edited(LONG, {(3, Channel("reasoning")): "[redacted]"})
    assert [block["type"] for block in body["messages"][1]["content"]] == ["redacted_thinking", "text", "tool_use"]


def test_a_turn_of_which_nothing_is_left_still_has_a_block() -> None:
    body = asked({"role": "assistant", "content": [{"type": "thinking", "thinking": "Bad.", "signature": "c2ln"}]})
    assert DIALECT.edited(body, {(0, Channel("reasoning")): "[redacted]"})["messages"][0]["content"] == [
        text("[redacted]")
    ]


def test_an_input_whose_json_a_mask_has_broken_is_one_that_no_tool_takes_for_real() -> None:
    body = DIALECT.edited(asked({"role": "assistant", "content": [CALL]}), {(0, Channel("tool")): '{"city":[redacted]'})
    assert body["messages"][0]["content"][0]["input"] == {"withheld": '{"city":[redacted]'}


BLOCKS = [
    ({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "A tale."}}, "A tale.", ""),
    (
        {"type": "document", "title": "T", "context": "C", "source": {"type": "content", "content": [text("A tale.")]}},
        "T\nC\nA tale.",
        "",
    ),
    ({"type": "document", "title": "T", "source": {"type": "base64", "data": "aGk="}}, "T", "base64"),
    ({"type": "document", "source": {"type": "file", "file_id": "file_1"}}, "", "file"),
    ({"type": "document", "source": {"type": "url", "url": "https://a.example/b"}}, "https://a.example/b", "url"),
    (
        {"type": "search_result", "source": "the web", "title": "T", "content": [text("Found."), text("More.")]},
        "the web\nT\nFound.\nMore.",
        "",
    ),
    ({"type": "image", "source": {"type": "url", "url": "https://a.example/b"}}, "https://a.example/b", "image"),
    ({"type": "container_upload", "file_id": "file_1"}, "", "container_upload"),
    ({"type": "hologram", "caption": "Hi."}, "Hi.", "hologram"),
]


@pytest.mark.parametrize(("block", "read", "unscannable"), BLOCKS, ids=[str(n) for n in range(len(BLOCKS))])
@pytest.mark.parametrize("within", [False, True], ids=["turn", "tool_result"])
def test_a_block_is_read_as_far_as_it_can_be(block: Any, read: str, unscannable: str, within: bool) -> None:
    incoming = DIALECT.read(asked(user(result([block]) if within else block)))
    assert incoming.messages == (Message("tool" if within else "user", read),)
    assert [each.what for each in incoming.unscannable] == ([unscannable] if unscannable else [])


def test_results_of_the_providers_own_tools_part_an_assistants_turn() -> None:
    found = {"type": "web_search_result", "title": "Rain", "url": "https://a.example", "encrypted_content": "x" * 9}
    blocks = [
        text("I search."),
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "rain"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [found]},
        text("It rains."),
    ]
    assert DIALECT.read(asked({"role": "assistant", "content": blocks})).messages == (
        Message("assistant", "I search.", tool_calls=('{"query":"rain"}',)),
        Message("tool", "Rain\nhttps://a.example"),
        Message("assistant", "It rains."),
    )


def test_a_turn_of_images_alone_is_a_turn() -> None:
    assert DIALECT.read(asked(user({"type": "image", "source": {"type": "base64", "data": ""}}))).messages == (
        Message("user", ""),
    )


def test_what_the_provider_keeps_of_a_conversation_cannot_be_scanned() -> None:
    body = asked(
        thread={"type": "continue", "previous_message_id": "msg_1"}, container={"skills": [{"type": "custom"}]}
    )
    assert [each.where for each in DIALECT.read(body).unscannable] == ["thread", "container.skills[0]"]


def test_fields_that_are_not_known_are_read() -> None:
    body = asked(
        output_config={"format": {"type": "json_schema", "schema": {"title": "Say it."}}}, documents=["Or this."]
    )
    assert DIALECT.read(body).messages == (Message("system", "Say it."), Message("user", "Or this."))


def test_a_tools_name_that_is_a_sentence_is_read() -> None:
    call = {**CALL, "name": "say something bad"}
    assert DIALECT.read(asked({"role": "assistant", "content": [call]})).messages[0].content == "say something bad"


BAD: list[tuple[dict[str, Any], str]] = [
    ({"model": "claude"}, "messages"),
    (asked(system=3), "system"),
    (asked(stream="yes"), "stream"),
    (asked(tools={"name": "x"}), "tools"),
    (asked(tools=["x"]), "tools[0]"),
    ({"messages": ["hi"]}, "messages[0]"),
    (asked({"role": "tool", "content": "hi"}), "messages[0].role"),
    (asked({"role": ["user"], "content": "hi"}), "messages[0].role"),
    (asked({"role": "user"}), "messages[0].content"),
    (asked({"role": "user", "content": {"type": "text"}}), "messages[0].content"),
    (asked(user("hi")), "messages[0].content[0]"),
    (asked(user({"text": "hi"})), "messages[0].content[0]"),
    (asked(user({"type": "text", "text": ["hi"]})), "messages[0].content[0].text"),
    (asked(user(result([{"type": "text"}]))), "messages[0].content[0].content[0].text"),
    (asked(user(result(3))), "messages[0].content[0].content"),
    (asked(user(result([result("x")]))), "messages[0].content[0].content[0]"),
    (asked({"role": "assistant", "content": [{**CALL, "input": "{}"}]}), "messages[0].content[0].input"),
    (asked({"role": "assistant", "content": [{**CALL, "name": 3}]}), "messages[0].content[0].name"),
]


@pytest.mark.parametrize(("body", "place"), BAD, ids=[place for _, place in BAD])
def test_what_could_pass_unread_is_refused_with_its_place(body: dict[str, Any], place: str) -> None:
    with pytest.raises(BadRequest) as raised:
        DIALECT.read(body)
    assert raised.value.where == place


def test_an_input_nested_beyond_all_reason_is_refused() -> None:
    deep: dict[str, Any] = {}
    for _ in range(900):
        deep = {"a": deep}
    with pytest.raises(BadRequest, match="nested too deep"):
        DIALECT.read(asked({"role": "assistant", "content": [{**CALL, "input": deep}]}))


UNKNOWN = "Say how."


@pytest.mark.parametrize(
    "body",
    [
        asked(user({**text("Hi."), "hint": UNKNOWN})),
        asked(user({**text("Hi."), "cache_control": {"type": UNKNOWN}})),
        asked({**user(text("Hi.")), "hint": [UNKNOWN]}),
        asked(user({**result("Rain."), "hint": UNKNOWN})),
        asked({"role": "assistant", "content": [{**CALL, "hint": UNKNOWN}]}),
        asked({"role": "assistant", "content": [{"type": "thinking", "thinking": "So.", "signature": UNKNOWN}]}),
        asked(user({"type": "tool_result", "tool_use_id": UNKNOWN, "content": ""})),
        asked(user(text("Hi.")), context_management={"edits": [{"type": "compact_1", "instructions": UNKNOWN}]}),
        asked(user(text("Hi.")), odd={UNKNOWN: 1}),
    ],
    ids=["block", "cache", "message", "result", "call", "signature", "id", "compaction", "name"],
)
def test_a_text_where_none_should_stand_is_read_and_can_be_replaced(body: dict[str, Any]) -> None:
    places = {
        (place, TEXT): message.content.replace(UNKNOWN, "[x]")
        for place, message in enumerate(DIALECT.read(body).messages)
        if UNKNOWN in message.content
    }
    assert places
    changed = str(DIALECT.edited(body, places))
    assert UNKNOWN not in changed
    assert "[x]" in changed


def test_what_is_written_in_every_request_is_no_text() -> None:
    block = {**text("Hi."), "cache_control": {"type": "ephemeral", "ttl": "5m"}}
    call = {**CALL, "caller": {"type": "direct"}, "cache_control": {"type": "ephemeral"}}
    kept = {"edits": [{"type": "clear_tool_uses_1", "trigger": {"type": "input_tokens", "value": 9}}]}
    messages = DIALECT.read(
        asked(user(block), {"role": "assistant", "content": [call]}, context_management=kept)
    ).messages
    assert [message.content for message in messages] == ["Hi.", ""]


@pytest.mark.parametrize("where", ["odd", "tools", "messages"])
def test_json_that_would_take_long_to_look_through_is_refused(where: str) -> None:
    tangled: Any = ["a b"] * 100_001
    body = asked(user({"type": "hologram", "of": tangled})) if where == "messages" else asked(user(text("Hi.")))
    with pytest.raises(BadRequest, match=where):
        DIALECT.read(body if where == "messages" else {**body, where: [{"of": tangled}]})
