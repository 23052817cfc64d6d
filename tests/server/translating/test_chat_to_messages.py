"""OpenAI's client before an upstream of Messages."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.dialects.messages.events import message_events
from server.translating import chat_to_messages
from server.upstreams.base import Event

BODY: dict[str, Any] = {"model": "claude", "messages": [{"role": "user", "content": "weather?"}]}
MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude",
    "content": [
        {"type": "thinking", "thinking": "Two calls.", "signature": "c2ln"},
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}},
        {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {"input_tokens": 12, "cache_read_input_tokens": 8, "output_tokens": 9},
}


@pytest.fixture
def served(translated: Any) -> Any:
    return translated(chat_to_messages)


@pytest.fixture
def client(served: Any) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(api_key="k", base_url="http://a/v1", http_client=served.client, max_retries=0)


def check(message: Any) -> None:
    assert message.content == "I look."
    assert message.reasoning_content == "Two calls."
    assert [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls] == [
        ("toolu_1", "weather", '{"city":"Oslo"}'),
        ("toolu_2", "now", "{}"),
    ]


async def test_a_whole_answer_reaches_openais_client(client: openai.AsyncOpenAI, served: Any) -> None:
    served.data = MESSAGE
    answer = await client.chat.completions.create(**BODY)
    check(answer.choices[0].message)
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (20, 29)
    assert served.asked == {
        "model": "claude",
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "weather?"}]}],
    }


async def test_a_stream_reaches_openais_client(client: openai.AsyncOpenAI, served: Any) -> None:
    served.events = [event.data for event in message_events(MESSAGE)]
    async with client.chat.completions.stream(**BODY, stream_options={"include_usage": True}) as stream:
        answer = await stream.get_final_completion()
    message = answer.choices[0].message
    assert message.content == "I look."
    assert [call.function.arguments for call in message.tool_calls or ()] == ['{"city":"Oslo"}', "{}"]
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 9


async def test_a_stream_says_what_it_cost_only_where_that_is_asked(client: openai.AsyncOpenAI, served: Any) -> None:
    served.events = [event.data for event in message_events(MESSAGE)]
    chunks = [chunk async for chunk in await client.chat.completions.create(**BODY, stream=True)]
    assert [chunk for chunk in chunks if not chunk.choices or chunk.usage] == []
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content_filter"),
        ("pause_turn", "stop"),
        (None, "stop"),
    ],
)
def test_an_answer_ends_as_chat_completions_end(reason: str | None, finish: str) -> None:
    message = {**MESSAGE, "content": [], "stop_reason": reason}
    assert chat_to_messages.answer(message, BODY)["choices"][0]["finish_reason"] == finish
    translation = chat_to_messages.Translation(BODY)
    chunks = [chunk for event in message_events(message) for chunk in translation.feed(event)]
    assert chunks[-1].data is not None
    assert chunks[-1].data["choices"][0]["finish_reason"] == finish
    assert [event.kind for event in translation.close()] == ["done"]


BLOCK = st.one_of(
    st.builds(lambda text: {"type": "text", "text": text}, st.text()),
    st.builds(lambda text: {"type": "thinking", "thinking": text, "signature": ""}, st.text()),
    st.builds(
        lambda number, given: {"type": "tool_use", "id": f"t{number}", "name": "f", "input": given},
        st.integers(0, 9),
        st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
    ),
)


@given(blocks=st.lists(BLOCK, max_size=6), cuts=st.integers(1, 5))
def test_a_stream_cut_anywhere_says_what_the_whole_answer_says(blocks: list[Any], cuts: int) -> None:
    message = {**MESSAGE, "content": blocks}
    (choice,) = chat_to_messages.answer(message, BODY)["choices"]
    translation = chat_to_messages.Translation(BODY)
    chunks: list[Event] = []
    for event in message_events(message):
        data = event.data or {}
        delta = data.get("delta", {})
        key = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}.get(
            delta.get("type", "")
        )
        if key is None:
            chunks += translation.feed(event)
            continue
        for start in range(0, len(delta[key]), cuts):
            piece = {**data, "delta": {**delta, key: delta[key][start : start + cuts]}}
            chunks += translation.feed(Event(b"", piece, event.name))
    told: dict[str, Any] = {"content": "", "reasoning_content": "", "calls": []}
    for chunk in chunks:
        assert chunk.data is not None
        delta = chunk.data["choices"][0]["delta"]
        for name in ("content", "reasoning_content"):
            told[name] += delta.get(name) or ""
        for call in delta.get("tool_calls", ()):
            if call["index"] == len(told["calls"]):
                told["calls"].append({**call, "function": dict(call["function"])})
            else:
                told["calls"][call["index"]]["function"]["arguments"] += call["function"]["arguments"]
    assert told["content"] == (choice["message"]["content"] or "")
    assert told["reasoning_content"] == choice["message"].get("reasoning_content", "")
    assert [{key: value for key, value in call.items() if key != "index"} for call in told["calls"]] == choice[
        "message"
    ].get("tool_calls", [])


def test_a_call_whose_input_never_came_has_none() -> None:
    translation = chat_to_messages.Translation(BODY)
    block = {"type": "tool_use", "id": "toolu_1", "name": "now", "input": {}}
    translation.feed(Event(b"", {"type": "content_block_start", "index": 0, "content_block": block}))
    (chunk,) = translation.feed(Event(b"", {"type": "content_block_stop", "index": 0}))
    assert chunk.data is not None
    delta = chunk.data["choices"][0]["delta"]
    assert delta == {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}


def asked(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"model": "claude", "messages": list(messages), **more}


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


REFUSED: list[tuple[dict[str, Any], str]] = [
    (asked(n=2), "n"),
    (asked(logprobs=True), "logprobs"),
    (asked(logit_bias={"1": 2}), "logit_bias"),
    (asked(frequency_penalty=0.5), "frequency_penalty"),
    (asked(modalities=["text", "audio"]), "modalities"),
    (asked(functions=[{"name": "f"}]), "functions"),
    (asked(response_format={"type": "json_object"}), "response_format"),
    (asked(tools=[{"type": "custom", "custom": {"name": "f"}}]), "tools[0]"),
    (
        asked(tools=[{"type": "function", "function": {"name": "f"}}], tool_choice={"type": "allowed_tools"}),
        "tool_choice",
    ),
    (asked(user({"type": "input_audio", "input_audio": {}})), "messages[0].content[0]"),
    (asked(user({"type": "file", "file": {"file_id": "f"}})), "messages[0].content[0].file.file_data"),
    (
        asked(user({"type": "image_url", "image_url": {"url": "data:image/bmp;base64,aa"}})),
        "messages[0].content[0].image_url.url",
    ),
    (asked({"role": "tool", "content": "x"}), "messages[0].tool_call_id"),
    (asked({"role": "function", "name": "f", "content": "x"}), "messages[0].role"),
    (
        asked({"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{"}}]}),
        "messages[0].tool_calls[0].function.arguments",
    ),
    (asked({"role": "assistant", "tool_calls": [{"type": "custom"}]}), "messages[0].tool_calls[0]"),
    (asked({"role": "assistant", "audio": {"id": "a"}}), "messages[0]"),
    ({"model": "claude"}, "messages"),
]


@pytest.mark.parametrize(("body", "place"), REFUSED, ids=[place for _, place in REFUSED])
def test_what_messages_cannot_say_is_refused_with_its_place(body: dict[str, Any], place: str) -> None:
    with pytest.raises(ValueError, match=r"^" + place.replace("[", r"\[").replace("]", r"\]") + ":"):
        chat_to_messages.request(body)


def test_settings_that_say_nothing_are_no_reason_to_refuse() -> None:
    body = asked(n=1, logprobs=False, frequency_penalty=0, presence_penalty=0.0, logit_bias={}, tools=[], stop=None)
    assert chat_to_messages.request(body) == {"model": "claude", "max_tokens": 4096, "messages": []}


def test_no_reasoning_is_asked_for_in_the_middle_of_a_tool_loop() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    loop = [{"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "1", "content": "x"}]
    assert "thinking" not in chat_to_messages.request(asked(*loop, reasoning_effort="high"))
    said = chat_to_messages.request(asked({"role": "user", "content": "hi"}, reasoning_effort="high"))
    assert (said["thinking"], said["output_config"]) == ({"type": "adaptive"}, {"effort": "high"})
    assert chat_to_messages.request(asked(reasoning_effort="none"))["thinking"] == {"type": "disabled"}


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"content": ["x"]},
        {"content": [{"type": "text"}]},
        {"content": [{"type": "web_search_tool_result"}]},
        {"content": [{"type": "tool_use", "id": "1", "name": "f", "input": "{}"}]},
    ],
)
def test_an_answer_that_is_none_or_says_too_much_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^content"):
        chat_to_messages.answer(data, BODY)


@pytest.mark.parametrize(
    "data",
    [
        {"type": "error", "error": {"message": "gone"}},
        {"type": "banner"},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "server_tool_use"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "hologram_delta"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": None}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "{"}},
        {"type": "message_start", "message": {"content": [{"type": "text", "text": "early"}]}},
    ],
)
def test_an_event_that_is_none_or_says_too_much_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^\w"):
        chat_to_messages.Translation(BODY).feed(Event(b"", data, data["type"]))
