# ruff: noqa: E501
from __future__ import annotations

from typing import Any

import orjson
import pytest
from openai.types.responses import Response

from server.dialects._events import DONE, event
from server.dialects.responses import DIALECT
from server.translating import responses_to_chat as translating
from server.upstreams.base import Event

Json = dict[str, Any]


def user(content: Any) -> Json:
    return {"role": "user", "content": content}


def messages(*items: Json, **more: Any) -> list[Json]:
    asked: list[Json] = translating.request({"model": "m", "input": list(items), **more})["messages"]
    return asked


def test_it_says_what_it_translates() -> None:
    assert (translating.SOURCE, translating.TARGET) == ("responses", "chat_completions")


def test_a_plain_request() -> None:
    body = {
        "model": "m",
        "instructions": "Be brief.",
        "input": "hi",
        "max_output_tokens": 50,
        "temperature": 0.5,
        "reasoning": {"effort": "low", "summary": "auto"},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True},
                 "verbosity": "low"},
        "store": False,
        "truncation": "auto",
        "seed": 7,
        "user": None,
    }  # fmt: skip
    assert translating.request(body) == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief."}, user("hi")],
        "max_tokens": 50,
        "temperature": 0.5,
        "reasoning_effort": "low",
        "verbosity": "low",
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True},
        },
        "seed": 7,
    }


def test_a_stream_is_asked_for_with_its_usage() -> None:
    asked = translating.request(
        {"model": "m", "input": "hi", "stream": True, "stream_options": {"include_obfuscation": True}}
    )
    assert asked["stream"] is True
    assert asked["stream_options"] == {"include_usage": True}


def test_logprobs_are_asked_for_in_either_way() -> None:
    assert translating.request({"input": "hi", "top_logprobs": 3})["top_logprobs"] == 3
    assert translating.request({"input": "hi", "include": ["message.output_text.logprobs"]})["logprobs"] is True


def test_tools_and_their_choice() -> None:
    tools = [
        {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True},
        {"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "lark", "definition": "start: A"}},
    ]
    asked = translating.request(
        {"input": "hi", "tools": tools, "tool_choice": {"type": "function", "name": "f"}, "parallel_tool_calls": False}
    )
    assert asked["tools"] == [
        {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True}},
        {"type": "custom", "custom": {"name": "c", "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: A"}}}},
    ]  # fmt: skip
    assert asked["tool_choice"] == {"type": "function", "function": {"name": "f"}}
    assert asked["parallel_tool_calls"] is False
    allowed = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]}
    asked = translating.request({"input": "hi", "tools": tools, "tool_choice": allowed})
    assert asked["tool_choice"]["allowed_tools"]["tools"] == [{"type": "function", "function": {"name": "f"}}]


def test_without_tools_nothing_is_said_of_their_choice() -> None:
    asked = translating.request({"input": "hi", "tools": [], "tool_choice": "auto", "parallel_tool_calls": True})
    assert asked.keys() == {"messages"}


def test_a_conversation_with_calls_and_reasoning() -> None:
    thought = {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "hm"}]}
    said = {
        "type": "message",
        "role": "assistant",
        "id": "m",
        "content": [{"type": "output_text", "text": "Let me see.", "annotations": []}],
    }
    calls = [{"type": "function_call", "call_id": f"c{n}", "name": "f", "arguments": "{}"} for n in (1, 2)]
    given = [
        {"type": "function_call_output", "call_id": f"c{n}", "output": [{"type": "input_text", "text": f"got {n}"}]}
        for n in (1, 2)
    ]
    told = messages(user("before"), thought, said, user("weather?"), thought, said, *calls, *given)
    called = [{"id": f"c{n}", "type": "function", "function": {"name": "f", "arguments": "{}"}} for n in (1, 2)]
    assert told == [
        user("before"),
        {"role": "assistant", "content": "Let me see."},
        user("weather?"),
        {"role": "assistant", "reasoning_content": "hm", "content": "Let me see.", "tool_calls": called},
        {"role": "tool", "tool_call_id": "c1", "content": "got 1"},
        {"role": "tool", "tool_call_id": "c2", "content": "got 2"},
    ]


def test_sealed_reasoning_and_reasoning_without_anything_after_it_are_left_out() -> None:
    sealed = {"type": "reasoning", "id": "r", "summary": [], "encrypted_content": "gAAAA"}
    open_ = {"type": "reasoning", "id": "r", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]}
    assert messages(user("hi"), sealed, open_) == [user("hi")]


def test_parts_of_a_message() -> None:
    parts = [
        {"type": "input_text", "text": "look"},
        {"type": "input_image", "image_url": "https://example.org/a.png", "detail": "low"},
        {"type": "input_file", "file_data": "data:application/pdf;base64,aGk=", "filename": "a.pdf"},
        {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
    ]
    assert messages(user(parts))[0]["content"] == [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "low"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,aGk=", "filename": "a.pdf"}},
        {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
    ]


def test_refusals_and_custom_calls_of_earlier_turns() -> None:
    refusal = {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}
    call = {"type": "custom_tool_call", "call_id": "c", "name": "sh", "input": "ls"}
    given = {"type": "custom_tool_call_output", "call_id": "c", "output": "a.txt"}
    assert messages(user("hi"), refusal, user("ls"), call, given)[1:] == [
        {"role": "assistant", "refusal": "no", "content": None},
        user("ls"),
        {"role": "assistant", "content": None,
         "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "sh", "input": "ls"}}]},
        {"role": "tool", "tool_call_id": "c", "content": "a.txt"},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"input": "hi", "previous_response_id": "resp_1"}, "previous_response_id: "),
        ({"input": "hi", "conversation": "conv_1"}, "conversation: "),
        ({"prompt": {"id": "p"}}, "prompt: "),
        ({"input": "hi", "background": True}, "background: "),
        ({"input": 5}, "input: "),
        ({"input": [5]}, r"input\[0\]: "),
        ({"input": [{"type": "item_reference", "id": "m"}]}, r"input\[0\]: `item_reference`"),
        ({"input": [{"type": "web_search_call", "id": "w"}]}, r"input\[0\]: `web_search_call`"),
        ({"input": [{"role": "robot", "content": "hi"}]}, r"input\[0\].role: "),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]}, r"input\[0\].content\[0\]: "),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": [{"type": "input_image"}]}]}, r"input\[0\].output\[0\]: "),
        ({"input": [{"type": "function_call", "call_id": "c", "name": "f"}]}, r"input\[0\].arguments: "),
        ({"input": "hi", "tools": [{"type": "web_search"}]}, r"tools\[0\]: the model behind has no `web_search`"),
        ({"input": "hi", "tools": [{"type": "function", "name": "f"}], "tool_choice": {"type": "mcp"}}, "tool_choice: "),
        ({"input": "hi", "text": {"format": {"type": "poem"}}}, "text.format: "),
    ],
)  # fmt: skip
def test_what_cannot_be_translated_is_refused_with_its_place(body: Json, where: str) -> None:
    with pytest.raises(ValueError, match=f"^{where}"):
        translating.request(body)


def completion(message: Json, finish: str = "stop", **of_choice: Any) -> Json:
    usage = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13,
             "prompt_tokens_details": {"cached_tokens": 2}, "completion_tokens_details": {"reasoning_tokens": 1}}  # fmt: skip
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish, **of_choice}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 7,
        "model": "served",
        "choices": [choice],
        "usage": usage,
    }


CALLS = [
    {"id": f"call_{n}", "type": "function", "function": {"name": "f", "arguments": f'{{"n":{n}}}'}} for n in (1, 2)
]


def test_a_whole_answer_reads_as_one_of_the_api() -> None:
    asked = {"model": "m", "instructions": "Be brief.", "input": "hi"}
    data = completion({"content": "Both.", "reasoning_content": "hm", "tool_calls": CALLS}, "tool_calls")
    answer = translating.answer(data, asked)
    read = Response.model_validate(answer)
    assert [item.type for item in read.output] == ["reasoning", "message", "function_call", "function_call"]
    assert (read.output_text, read.status, read.model, read.created_at) == ("Both.", "completed", "served", 7)
    assert read.instructions == "Be brief."
    assert read.usage is not None
    assert (read.usage.input_tokens, read.usage.output_tokens, read.usage.total_tokens) == (9, 4, 13)
    assert read.usage.input_tokens_details.cached_tokens == 2
    assert read.usage.output_tokens_details.reasoning_tokens == 1
    assert [call["arguments"] for call in answer["output"][2:]] == ['{"n":1}', '{"n":2}']
    assert [call["call_id"] for call in answer["output"][2:]] == ["call_1", "call_2"]
    texts = DIALECT.answers(answer)[0].texts
    # the names of tools too, which the request has not named
    assert sorted(texts.values()) == ["Both.", "f", "f", "hm", '{"n":1}', '{"n":2}']


@pytest.mark.parametrize(("finish", "status", "reason"), [
    ("stop", "completed", None), ("tool_calls", "completed", None),
    ("length", "incomplete", "max_output_tokens"), ("content_filter", "incomplete", "content_filter"),
])  # fmt: skip
def test_an_answer_ends_as_the_model_s_did(finish: str, status: str, reason: str | None) -> None:
    answer = translating.answer(completion({"content": "x"}, finish), {})
    assert answer["status"] == status
    assert (answer["incomplete_details"] or {}).get("reason") == reason
    assert answer["output"][0]["status"] == status


def test_refusals_citations_and_probabilities_are_kept() -> None:
    citation = {
        "type": "url_citation",
        "url_citation": {"url": "https://example.org", "title": "T", "start_index": 0, "end_index": 1},
    }
    token = {"token": "x", "logprob": -0.5, "bytes": None, "top_logprobs": []}
    answer = translating.answer(
        completion({"content": "x", "refusal": "no more", "annotations": [citation]}, logprobs={"content": [token]}), {}
    )
    said, refused = answer["output"][0]["content"]
    assert said["annotations"] == [
        {"type": "url_citation", "url": "https://example.org", "title": "T", "start_index": 0, "end_index": 1}
    ]
    assert said["logprobs"] == [{**token, "bytes": []}]
    assert refused == {"type": "refusal", "refusal": "no more"}


@pytest.mark.parametrize("data", [
    {}, {"choices": []}, {"choices": [{"message": "x"}]}, completion({"content": 5}), completion({"audio": {"data": "aGk="}}),
    completion({"content": [{"type": "image"}]}), completion({"tool_calls": ["f"]}),
    completion({"tool_calls": [{"function": {"arguments": "{}"}}]}),
])  # fmt: skip
def test_an_answer_of_another_shape_is_refused(data: Json) -> None:
    with pytest.raises(ValueError, match=r"^choices"):
        translating.answer(data, {})


def chunk(delta: Json, finish: str | None = None, **more: Any) -> Event:
    choice = {"index": 0, "delta": delta, "finish_reason": finish, **more}
    return event(
        {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7, "model": "served", "choices": [choice]}
    )


USAGE = event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7, "model": "served", "choices": [],
               "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}})  # fmt: skip


def run(*events: Event, asked: Json | None = None) -> list[Event]:
    translation = translating.Translation(asked or {"model": "m"})
    made = [each for event_ in events for each in translation.feed(event_)]
    return made + translation.close()


def call(index: int, **function: str) -> Json:
    named = {"id": f"call_{index}", "type": "function"} if "name" in function else {}
    return {"tool_calls": [{"index": index, **named, "function": function}]}


STREAM = (
    chunk({"role": "assistant", "content": ""}),
    chunk({"reasoning_content": "hm"}),
    chunk({"reasoning_content": " well"}),
    chunk({"content": "Bo"}),
    chunk({"content": "th."}),
    chunk(call(0, name="f", arguments="")),
    chunk(call(0, arguments='{"n"')),
    chunk(call(0, arguments=":1}")),
    chunk(call(1, name="f", arguments='{"n":2}')),
    chunk({}, "tool_calls"),
    USAGE,
    DONE,
)


def test_a_stream_has_the_api_s_own_sequence_of_events() -> None:
    assert [each.name.removeprefix("response.") for each in run(*STREAM)] == [
        "created", "in_progress",
        "output_item.added", "content_part.added", "reasoning_text.delta", "reasoning_text.delta",
        "reasoning_text.done", "content_part.done", "output_item.done",
        "output_item.added", "content_part.added", "output_text.delta", "output_text.delta",
        "output_text.done", "content_part.done", "output_item.done",
        "output_item.added", "function_call_arguments.delta", "function_call_arguments.delta",
        "output_item.added", "function_call_arguments.delta",
        "function_call_arguments.done", "output_item.done", "function_call_arguments.done", "output_item.done",
        "completed",
    ]  # fmt: skip


def test_a_stream_says_what_the_whole_answer_says() -> None:
    final = (run(*STREAM)[-1].data or {})["response"]
    data = completion({"content": "Both.", "reasoning_content": "hm well", "tool_calls": CALLS}, "tool_calls")
    whole = translating.answer(data, {"model": "m"})

    def plain(response: Json) -> list[Json]:
        return [
            {name: value for name, value in item.items() if name not in ("id", "call_id")}
            for item in response["output"]
        ]

    assert plain(final) == plain(whole)
    assert final["usage"]["total_tokens"] == 13
    assert Response.model_validate(final).output_text == "Both."


def test_a_translated_stream_passes_the_guard_unchanged_and_is_scanned_once() -> None:
    shape = DIALECT.stream({"model": "m"}, "filter")
    said: list[str] = []
    for each in run(*STREAM):
        assert shape.unscannable(each) is None
        said += [text for _, _, text in shape.texts(each)]
        assert shape.settled(each, {}).raw == each.raw
    assert said == ["hm", " well", "Bo", "th.", "f", '{"n"', ":1}", "f", '{"n":2}']


def test_numbers_go_up_by_one_and_bytes_say_what_the_data_says() -> None:
    made = run(*STREAM)
    assert [(each.data or {})["sequence_number"] for each in made] == list(range(len(made)))
    for each in made:
        assert orjson.loads(each.raw.split(b"data: ", 1)[1]) == each.data


def test_calls_that_come_interleaved_stay_apart() -> None:
    made = run(
        chunk(call(0, name="f", arguments="{")), chunk(call(1, name="g", arguments="[")),
        chunk(call(0, arguments="}")), chunk(call(1, arguments="]")), chunk({}, "tool_calls"),
    )  # fmt: skip
    final = (made[-1].data or {})["response"]["output"]
    assert [(item["name"], item["arguments"]) for item in final] == [("f", "{}"), ("g", "[]")]


def test_a_refusal_is_a_part_of_its_own() -> None:
    final = (
        run(chunk({"content": "Well. "}), chunk({"refusal": "No"}), chunk({"refusal": "."}), chunk({}, "stop"))[-1].data
        or {}
    )["response"]
    assert [part["type"] for part in final["output"][0]["content"]] == ["output_text", "refusal"]
    assert final["output"][0]["content"][1]["refusal"] == "No."


def test_probabilities_go_with_their_text() -> None:
    token = {"token": "x", "logprob": -0.5, "bytes": [120], "top_logprobs": []}
    made = run(chunk({"content": "x"}, logprobs={"content": [token]}), chunk({}, "stop"))
    delta = next(each.data or {} for each in made if each.name == "response.output_text.delta")
    assert delta["logprobs"] == [token]
    assert (made[-1].data or {})["response"]["output"][0]["content"][0]["logprobs"] == [token]


@pytest.mark.parametrize(
    ("finish", "kind"), [("length", "response.incomplete"), ("content_filter", "response.incomplete")]
)
def test_a_stream_that_was_cut_short_says_so(finish: str, kind: str) -> None:
    made = run(chunk({"content": "x"}), chunk({}, finish))
    assert made[-1].name == kind
    assert (made[-1].data or {})["response"]["output"][0]["status"] == "incomplete"


def test_an_empty_stream_is_an_empty_answer() -> None:
    made = run()
    assert [each.name for each in made] == ["response.created", "response.in_progress", "response.completed"]


def test_keep_alives_pass() -> None:
    alive = Event(b": alive\n\n", None, kind="comment")
    assert translating.Translation({}).feed(alive) == [alive]


@pytest.mark.parametrize("broken", [
    event({"error": {"message": "went wrong"}}), event({"choices": None}), Event(b"data: [1]\n\n", None),
    chunk({"content": 5}), chunk({"audio": {"data": "aGk="}}), chunk({"tool_calls": [5]}),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": 5}}]}),
])  # fmt: skip
def test_an_event_of_another_shape_is_refused(broken: Event) -> None:
    with pytest.raises(ValueError, match=r"^\w+.*: "):
        translating.Translation({}).feed(broken)
