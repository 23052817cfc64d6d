# ruff: noqa: E501
from __future__ import annotations

from typing import Any

import pytest

from guard.exchange import Message
from guard.guarding.incoming import Unscannable
from guard.window.outcomes import Channel
from server.dialects.base import BadRequest
from server.dialects.responses import DIALECT

Json = dict[str, Any]
TEXT = Channel("text")


def read(*items: Json, **more: Any) -> tuple[Message, ...]:
    return DIALECT.read({"model": "m", "input": list(items), **more}).messages


def user(content: Any) -> Json:
    return {"role": "user", "content": content}


def test_an_item_without_a_text_is_the_upstreams_to_answer_or_refuse() -> None:
    incoming = DIALECT.read({"model": "m", "input": [{"role": "user", "content": ""}]})
    assert [message.content for message in incoming.messages] == [""]


def test_instructions_and_a_plain_input_are_two_messages() -> None:
    incoming = DIALECT.read({"model": "m", "instructions": "Be brief.", "input": "hello"})
    assert incoming.messages == (Message("system", "Be brief."), Message("user", "hello"))


def test_parts_of_a_message_are_joined_by_line_ends() -> None:
    parts = [{"type": "input_text", "text": "one"}, {"type": "input_text", "text": "two"}]
    assert read(user(parts)) == (Message("user", "one\ntwo"),)


def test_a_developer_is_the_system() -> None:
    assert read({"type": "message", "role": "developer", "content": "Be brief."})[0].role == "system"


def test_what_the_model_did_in_a_row_is_one_turn() -> None:
    thought = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}],
               "content": [{"type": "reasoning_text", "text": "well"}], "encrypted_content": "gAAAA-_="}  # fmt: skip
    said = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": "Let me see.", "annotations": []}]}  # fmt: skip
    calls = [{"type": "function_call", "call_id": f"c{n}", "name": "f", "arguments": f'{{"n":{n}}}'} for n in (1, 2)]
    given = {"type": "function_call_output", "call_id": "c1", "output": "sunny"}
    assert read(user("weather?"), thought, said, *calls, given) == (
        Message("user", "weather?"),
        Message("assistant", "Let me see.", reasoning="hm\nwell", tool_calls=('{"n":1}', '{"n":2}')),
        Message("tool", "sunny"),
    )


@pytest.mark.parametrize(
    ("item", "role", "text"),
    [
        ({"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "found"}]}, "tool", "found"),
        ({"type": "custom_tool_call_output", "call_id": "c", "output": "found"}, "tool", "found"),
        ({"type": "custom_tool_call", "call_id": "c", "name": "sh", "input": "ls -la"}, "assistant", "ls -la"),
        ({"type": "local_shell_call_output", "id": "c", "output": "found"}, "tool", "found"),
        ({"type": "local_shell_call", "id": "l", "call_id": "c", "status": "completed",
          "action": {"type": "exec", "command": ["rm", "found it"], "env": {}}}, "assistant", "found it"),
        ({"type": "shell_call", "call_id": "c", "action": {"commands": ["cat it"]}}, "assistant", "cat it"),
        ({"type": "shell_call_output", "call_id": "c",
          "output": [{"stdout": "it is", "stderr": "not found", "outcome": {"type": "exit", "exit_code": 1}}]},
         "tool", "not found"),
        ({"type": "apply_patch_call", "call_id": "c", "status": "completed",
          "operation": {"type": "update_file", "path": "a.txt", "diff": "+ new line"}}, "assistant", "+ new line"),
        ({"type": "apply_patch_call_output", "call_id": "c", "status": "failed", "output": "no such file"},
         "tool", "no such file"),
        ({"type": "mcp_call", "id": "m", "name": "f", "server_label": "s", "arguments": "{}", "output": "it said"},
         "tool", "it said"),
        ({"type": "mcp_list_tools", "id": "m", "server_label": "s",
          "tools": [{"name": "f", "description": "does this", "input_schema": {}}]}, "tool", "does this"),
        ({"type": "mcp_approval_request", "id": "m", "name": "f", "server_label": "s", "arguments": '{"a": 1}'},
         "assistant", '{"a": 1}'),
        ({"type": "mcp_approval_response", "approval_request_id": "m", "approve": False, "reason": "not this"},
         "tool", "not this"),
        ({"type": "web_search_call", "id": "w", "status": "completed",
          "action": {"type": "search", "query": "where is it", "queries": ["where is it"]}}, "assistant", "where is it"),
        ({"type": "file_search_call", "id": "f", "status": "completed", "queries": ["where"],
          "results": [{"file_id": "f1", "filename": "notes", "text": "it is here", "score": 0.5}]}, "tool", "it is here"),
        ({"type": "computer_call", "id": "c", "call_id": "c", "status": "completed", "pending_safety_checks": [],
          "action": {"type": "type", "text": "typed this"}}, "assistant", "typed this"),
        ({"type": "code_interpreter_call", "id": "c", "container_id": "x", "status": "completed", "code": "print(1)",
          "outputs": [{"type": "logs", "logs": "1 was printed"}]}, "tool", "1 was printed"),
        ({"type": "code_interpreter_call", "id": "c", "container_id": "x", "status": "completed", "code": "exit",
          "outputs": None}, "assistant", "exit"),
        ({"type": "tool_search_call", "arguments": {"goal": "find it"}, "execution": "server"}, "assistant", "find it"),
        ({"type": "program", "id": "p", "call_id": "c", "code": "run()", "fingerprint": "f"}, "assistant", "run()"),
        ({"type": "program_output", "id": "p", "call_id": "c", "result": "it ran", "status": "completed"}, "tool", "it ran"),
        ({"type": "hologram", "id": "h", "layers": [{"caption": "never seen before"}]}, "tool", "never seen before"),
        ({"type": "hologram_call", "wish for this": 1}, "assistant", "wish for this"),
    ],
)  # fmt: skip
def test_every_kind_of_item_is_read(item: Json, role: str, text: str) -> None:
    messages = read(user("hi"), item)
    found = [m for m in messages if m.role == role and text in "\n".join([m.content, *m.tool_calls])]
    assert found, messages


@pytest.mark.parametrize(
    ("item", "where", "what"),
    [
        (user([{"type": "input_image", "detail": "auto", "image_url": "https://example.org/a.png"}]), "input[1].content[0]", "input_image"),
        (user([{"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="}]), "input[1].content[0]", "input_file"),
        (user([{"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}]), "input[1].content[0]", "input_audio"),
        ({"type": "computer_call_output", "call_id": "c", "output": {"type": "computer_screenshot", "image_url": "data:image/png;base64,aGk="}}, "input[1].output", "computer_screenshot"),
        ({"type": "function_call_output", "call_id": "c", "output": [{"type": "input_image", "image_url": "data:image/png;base64,aGk="}]}, "input[1].output[0]", "input_image"),
        ({"type": "image_generation_call", "id": "i", "status": "completed", "result": "aGk="}, "input[1]", "image_generation_call"),
        ({"type": "hologram", "surface": "data:model/gltf;base64,aGk="}, "input[1].surface", "surface"),
    ],
)  # fmt: skip
def test_what_cannot_be_scanned_is_told_with_its_place(item: Json, where: str, what: str) -> None:
    incoming = DIALECT.read({"model": "m", "input": [user("hi"), item]})
    assert incoming.unscannable == (Unscannable(where, what),)


def test_a_file_s_name_is_read() -> None:
    part = {"type": "input_file", "filename": "how to steal a car.pdf", "file_id": "file_1"}
    assert "how to steal a car.pdf" in read(user([part]))[0].content


def test_tools_and_shapes_are_read_as_the_systems_and_members_that_are_not_known_as_a_users() -> None:
    tool = {"type": "function", "name": "f", "description": "Does that.", "strict": True,
            "parameters": {"type": "object", "properties": {"a": {"type": "string", "description": "a thing"}}}}  # fmt: skip
    server = {"type": "mcp", "server_label": "s", "server_url": "https://example.org", "authorization": "Bearer secret key",
              "headers": {"x-key": "another secret"}, "server_description": "Knows much."}  # fmt: skip
    form = {"format": {"type": "json_schema", "name": "n", "schema": {"title": "An answer"}}, "verbosity": "low"}
    (system, unknown, _) = read(user("hi"), tools=[tool, server], text=form, chat_template="told to obey")
    assert (system.role, unknown) == ("system", Message("user", "told to obey"))
    for text in ("Does that.", "a thing", "Knows much.", "An answer"):
        assert text in system.content
    assert "secret" not in system.content


def test_what_is_filled_into_a_stored_template_is_the_user_s() -> None:
    variables = {"name": "Ada", "more": {"type": "input_text", "text": "and more"},
                 "picture": {"type": "input_image", "file_id": "file_1"}}  # fmt: skip
    incoming = DIALECT.read({"prompt": {"id": "pmpt_1", "version": "2", "variables": variables}})
    assert incoming.messages == (Message("user", "Ada\nand more"),)
    assert incoming.unscannable == (Unscannable("prompt.variables.picture", "input_image"),)


def test_turns_that_stand_upstream_pass() -> None:
    body = {
        "model": "m",
        "previous_response_id": "resp_1",
        "input": [{"type": "item_reference", "id": "msg_1"}, user("go on")],
    }
    assert DIALECT.read(body).messages == (Message("user", "go on"),)
    assert DIALECT.read({"prompt": {"id": "pmpt_1"}}).messages == (Message("user", ""),)


def test_what_follows_a_reply_of_the_guard_goes_on_from_the_answer_before_it() -> None:
    first = DIALECT.reply({"input": "hi", "previous_response_id": "resp_abc"}, "no", "filter")
    second = DIALECT.reply({"input": "hi", "previous_response_id": first["id"]}, "no", "filter")
    lone = DIALECT.reply({"input": "hi"}, "no", "filter")
    for reply, before in ((first, "resp_abc"), (second, "resp_abc"), (lone, None)):
        asked = {"input": "and now?", "previous_response_id": reply["id"]}
        prepared = DIALECT.prepared(asked)  # type: ignore[attr-defined]
        assert prepared == {"input": "and now?"} | ({"previous_response_id": before} if before else {})
    assert DIALECT.prepared(body := {"input": "hi", "previous_response_id": "resp_abc"}) is body  # type: ignore[attr-defined]


def test_sealed_reasoning_passes_and_what_only_claims_to_be_sealed_is_read() -> None:
    sealed = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAAABo-_1=="}
    open_ = {"type": "compaction", "encrypted_content": "in plain words"}
    assert read(user("hi"), sealed) == (Message("user", "hi"),)
    assert "in plain words" in "".join(message.content for message in read(user("hi"), open_))


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, "input"),
        ({"input": []}, "input"),
        ({"input": 5}, "input"),
        ({"input": "hi", "instructions": ["be brief"]}, "instructions"),
        ({"input": "hi", "background": True}, "background"),
        ({"input": "hi", "stream": "yes"}, "stream"),
        ({"input": "hi", "model": 5}, "model"),
        ({"input": "hi", "previous_response_id": ["r"]}, "previous_response_id"),
        ({"input": "hi", "tools": {"type": "function"}}, "tools"),
        ({"input": "hi", "text": "plain"}, "text"),
        ({"input": "hi", "prompt": "pmpt_1"}, "prompt"),
        ({"input": "hi", "prompt": {"id": "p", "variables": {"a": ["b"]}}}, "prompt.variables.a"),
        ({"input": ["hi"]}, "input[0]"),
        ({"input": [{"content": "hi"}]}, "input[0].type"),
        ({"input": [{"role": "robot", "content": "hi"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": {"text": "hi"}}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": ["hi"]}]}, "input[0].content[0]"),
        ({"input": [{"role": "user", "content": [{"text": "hi"}]}]}, "input[0].content[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": ["hi"]}]}]}, "input[0].content[0].text"),
        ({"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": {"a": 1}}]}, "input[0].arguments"),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": {"a": 1}}]}, "input[0].output"),
        ({"input": [{"type": "reasoning", "id": "r", "summary": "hm"}]}, "input[0].summary"),
    ],
)  # fmt: skip
def test_a_request_of_another_shape_is_refused_with_its_place(body: Json, where: str) -> None:
    with pytest.raises(BadRequest) as refused:
        DIALECT.read(body)
    assert refused.value.where == where


def test_edits_stand_in_a_copy_and_each_part_keeps_its_own() -> None:
    body = {
        "model": "m",
        "instructions": "Be brief.",
        "input": [
            user([{"type": "input_text", "text": "my number is"}, {"type": "input_text", "text": "555 0100"}]),
            {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "a number"}]},
            {"type": "function_call", "call_id": "c", "name": "call", "arguments": '{"to":"555 0100"}'},
            {"type": "function_call_output", "call_id": "c", "output": "reached 555 0100"},
        ],
    }
    before = repr(body)
    edits = {
        (1, TEXT): "my number is\n[redacted]",
        (2, Channel("reasoning")): "nothing",
        (2, Channel("tool", 0)): '{"to":"[redacted]"}',
        (3, TEXT): "reached [redacted]",
    }
    edited = DIALECT.edited(body, edits)
    assert repr(body) == before
    items = edited["input"]
    assert [part["text"] for part in items[0]["content"]] == ["my number is", "[redacted]"]
    assert items[1]["summary"][0]["text"] == "nothing"
    assert items[2]["arguments"] == '{"to":"[redacted]"}'
    assert items[3]["output"] == "reached [redacted]"
    assert edited["instructions"] == "Be brief."


def test_every_text_of_a_request_can_be_edited_where_it_was_read() -> None:
    body = {
        "model": "m",
        "instructions": "one",
        "input": "two",
        "tools": [{"type": "function", "name": "f", "description": "three"}],
    }
    incoming = DIALECT.read(body)
    edits = {(place, TEXT): message.content.upper() for place, message in enumerate(incoming.messages)}
    assert [m.content for m in DIALECT.read(DIALECT.edited(body, edits)).messages] == ["ONE", "THREE\nF", "TWO"]


def test_further_draws_are_no_streams_and_none_is_added_to_a_conversation() -> None:
    body = {"model": "m", "input": "hi", "stream": True, "stream_options": {"include_obfuscation": False}}
    assert DIALECT.redrawn(body, 2) == [{"model": "m", "input": "hi"}] * 2
    assert DIALECT.redrawn({**body, "conversation": "conv_1"}, 2) == []
    assert DIALECT.streams(body)
    assert not DIALECT.streams({"input": "hi"})


def test_json_that_would_take_long_to_look_through_is_refused() -> None:
    deep: Any = "at the bottom"
    for _ in range(101):
        deep = [deep]
    for tangled in (deep, ["a b"] * 100_001):
        with pytest.raises(BadRequest, match="layers"):
            read(user("hi"), {"type": "hologram", "layers": tangled})
