"""Anthropic's client before an upstream of chat completions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.translating import messages_to_chat
from server.upstreams.base import Event

BODY: dict[str, Any] = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "weather?"}]}
THINKS = {**BODY, "thinking": {"type": "adaptive"}}


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish, **more}
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def call(index: int, arguments: str, **begun: str) -> dict[str, Any]:
    name = {"name": begun.pop("name")} if "name" in begun else {}
    return {"tool_calls": [{"index": index, **begun, "function": {**name, "arguments": arguments}}]}


def whole(message: dict[str, Any], finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish, **more}
    return {"id": "c1", "model": "m", "choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}


COUNTED = {"id": "c1", "choices": [], "usage": {"prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 29}}


@pytest.fixture
def served(translated: Any) -> Any:
    return translated(messages_to_chat)


@pytest.fixture
def client(served: Any) -> Iterator[anthropic.AsyncAnthropic]:
    return anthropic.AsyncAnthropic(api_key="k", base_url="http://a", http_client=served.client, max_retries=0)


async def test_a_conversation_with_tools_and_reasoning_streams_to_anthropics_client(client: Any, served: Any) -> None:
    served.events = [
        chunk({"role": "assistant", "content": ""}),
        chunk({"reasoning_content": "Two calls."}),
        chunk({"content": "I look."}),
        chunk(call(0, "", id="call_1", type="function", name="weather")),
        chunk(call(0, '{"city":')),
        chunk(call(0, ' "Oslo"}')),
        chunk(call(1, "", id="call_2", type="function", name="now")),
        chunk({}, "tool_calls"),
        COUNTED,
    ]
    async with client.messages.stream(**THINKS) as stream:
        texts = [event.text async for event in stream if event.type == "text"]
        message = await stream.get_final_message()
    assert texts == ["I look."]
    assert [block.to_dict() for block in message.content] == [
        {"type": "thinking", "thinking": "Two calls.", "signature": ""},
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Oslo"}},
        {"type": "tool_use", "id": "call_2", "name": "now", "input": {}},
    ]
    assert message.stop_reason == "tool_use"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (20, 9)
    assert served.asked["stream_options"] == {"include_usage": True}


async def test_a_whole_answer_reaches_anthropics_client(client: Any, served: Any) -> None:
    served.data = whole({"content": "Hello.", "reasoning": "Hm."})
    message = await client.messages.create(**BODY)
    assert [block.to_dict() for block in message.content] == [
        {"type": "text", "text": "Hello."}
    ]  # it asked for no more
    assert (message.stop_reason, message.usage.output_tokens) == ("end_turn", 2)
    assert served.asked == {
        "model": "m",
        "messages": [{"role": "user", "content": "weather?"}],
        "max_completion_tokens": 100,
    }


ENDINGS = [
    (whole({"content": "x"}, "length"), "max_tokens", None),
    (whole({"content": "x"}, "content_filter"), "refusal", None),
    (whole({"content": None, "refusal": "No."}), "refusal", None),
    (whole({"content": "x"}, "stop", stop_reason="END"), "stop_sequence", "END"),
    (whole({"content": "x"}, "stop", stop_reason=128001), "end_turn", None),
    (whole({"tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]}), "tool_use", None),
    (whole({"function_call": {"name": "f", "arguments": "{}"}}, "function_call"), "tool_use", None),
    (whole({"content": [{"type": "text", "text": "x"}]}, None), "end_turn", None),
]


@pytest.mark.parametrize(("data", "reason", "sequence"), ENDINGS, ids=[str(n) for n in range(len(ENDINGS))])
def test_an_answer_ends_as_messages_end(data: Any, reason: str, sequence: str | None) -> None:
    asked = {**BODY, "stop_sequences": ["END"]}
    said = messages_to_chat.answer(data, asked)
    assert (said["stop_reason"], said["stop_sequence"]) == (reason, sequence)
    message = data["choices"][0]["message"]
    calls = message.get("tool_calls", ())
    deltas = [chunk({**message, "tool_calls": [{**each, "index": n} for n, each in enumerate(calls)]})]
    deltas.append(chunk({}, **{"finish": data["choices"][0]["finish_reason"]}))
    deltas[1]["choices"][0] |= {key: each for key, each in data["choices"][0].items() if key == "stop_reason"}
    if isinstance(message.get("content"), list):
        return
    translation = messages_to_chat.Translation(asked)
    events = [out for data in deltas for out in translation.feed(Event(b"", data))] + translation.close()
    delta = events[-2].data["delta"] if events[-2].data else {}
    assert (delta["stop_reason"], delta["stop_sequence"]) == (reason, sequence)


def test_arguments_that_the_bound_on_tokens_has_cut_are_none() -> None:
    tool = {"id": "1", "function": {"name": "f", "arguments": '{"a": '}}
    (block,) = messages_to_chat.answer(whole({"tool_calls": [tool]}, "length"), BODY)["content"]
    assert block["input"] == {}


Step = tuple[str, int, str]


@given(st.lists(st.tuples(st.sampled_from(["content", "reasoning", "tool"]), st.integers(0, 2), st.text(max_size=4))))
def test_a_stream_loses_nothing_however_its_texts_are_mingled(steps: list[Step]) -> None:
    said: dict[tuple[str, int], str] = {}
    translation = messages_to_chat.Translation(THINKS)
    events: list[Event] = []
    for kind, index, text in steps:
        place = (kind, index if kind == "tool" else 0)
        delta = {"content": {"content": text}, "reasoning": {"reasoning_content": text}}.get(kind)
        if delta is None:
            begun = {} if place in said else {"id": f"id{index}", "name": f"f{index}"}
            delta = call(index, text, **begun)
        said[place] = said.get(place, "") + text
        events += translation.feed(Event(b"", chunk(delta)))
    events += translation.feed(Event(b"", chunk({}, "stop"))) + translation.close()
    told: dict[tuple[str, int], str] = {}
    current: tuple[str, int] | None = None
    for number, event in enumerate(events):
        data = event.data or {}
        if data["type"] == "content_block_start":
            assert current is None
            block = data["content_block"]
            kinds = {"text": ("content", 0), "thinking": ("reasoning", 0)}
            current = kinds.get(block["type"]) or ("tool", int(block["name"][1:]))
            assert block.get("id", "id") == ("id" if current[0] != "tool" else f"id{current[1]}")
            told.setdefault(current, "")
        elif data["type"] == "content_block_delta":
            assert current is not None
            told[current] += next(value for key, value in data["delta"].items() if key != "type")
        elif data["type"] == "content_block_stop":
            current = None
        else:
            assert (data["type"] == "message_start") == (number == 0)
    assert current is None
    assert told == {place: text for place, text in said.items() if text or place[0] == "tool"}


def test_texts_that_wait_for_a_tool_keep_their_place_between_the_tools() -> None:
    translation = messages_to_chat.Translation(BODY)
    steps = [
        call(0, "{", id="a", name="f"),
        {"content": "One."},
        call(1, "{}", id="b", name="g"),
        {"content": "Two."},
        call(0, "}"),
    ]
    events = [out for delta in steps for out in translation.feed(Event(b"", chunk(delta)))] + translation.close()
    said: list[str] = []
    for event in events:
        data = event.data or {}
        if data["type"] == "content_block_start":
            said.append(data["content_block"].get("name", ""))
        elif data["type"] == "content_block_delta":
            said[-1] += data["delta"].get("text") or data["delta"].get("partial_json")
    assert said == ["f{}", "One.", "g{}", "Two."]


def asked(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 9, "messages": list(messages), **more}


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


REFUSED: list[tuple[dict[str, Any], str]] = [
    (asked(mcp_servers=[{"url": "https://a.example"}]), "mcp_servers"),
    (asked(container="c1"), "container"),
    (asked(thread={"type": "continue"}), "thread"),
    (asked(inference_geo="eu"), "inference_geo"),
    (asked(tools=[{"type": "web_search_20250305", "name": "web_search"}]), "tools[0]"),
    (asked(tools=[{"name": "f"}]), "tools[0].input_schema"),
    (asked(tool_choice={"type": "most"}), "tool_choice"),
    (asked(output_config={"format": {"type": "grammar"}}), "output_config.format"),
    (asked(user({"type": "image", "source": {"type": "file", "file_id": "f"}})), "messages[0].content[0].source"),
    (asked(user({"type": "document", "source": {"type": "url", "url": "u"}})), "messages[0].content[0].source"),
    (asked(user({"type": "container_upload", "file_id": "f"})), "messages[0].content[0]"),
    (asked({"role": "assistant", "content": [{"type": "server_tool_use"}]}), "messages[0].content[0]"),
    (asked(user({"type": "text", "text": "hi"}), {"role": "assistant", "content": "I"}), "messages[1]"),
    (asked({"role": "tool", "content": "hi"}), "messages[0].role"),
    (asked(3), "messages[0]"),
]


@pytest.mark.parametrize(("body", "place"), REFUSED, ids=[place for _, place in REFUSED])
def test_what_chat_completions_cannot_say_is_refused_with_its_place(body: dict[str, Any], place: str) -> None:
    with pytest.raises(ValueError, match=r"^" + place.replace("[", r"\[").replace("]", r"\]") + ":"):
        messages_to_chat.request(body)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"choices": []},
        {"choices": [{}, {}]},
        {"choices": [{"message": None}]},
        whole({"content": 3}),
        whole({"content": [{"type": "image_url"}]}),
        whole({"audio": {"data": "aGk="}}),
        whole({"tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}),
        whole({"tool_calls": [{"function": {"name": "f", "arguments": "[]"}}]}),
        whole({"tool_calls": [{"type": "custom", "custom": {}}]}),
    ],
)
def test_what_messages_cannot_say_or_is_no_answer_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^choices"):
        messages_to_chat.answer(data, BODY)


@pytest.mark.parametrize(
    "data",
    [
        {"error": {"message": "gone"}},
        {"object": "chat.completion.chunk"},
        {"choices": [{"index": 1, "delta": {}}]},
        chunk({"content": 3}),
        chunk({"audio": {}}),
        chunk({"tool_calls": [{"function": {}}]}),
        chunk({"tool_calls": [{"index": 0, "type": "custom"}]}),
    ],
)
def test_a_chunk_that_is_none_or_says_too_much_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^\w"):
        messages_to_chat.Translation(BODY).feed(Event(b"", data))


def test_a_call_that_never_had_a_name_is_refused() -> None:
    translation = messages_to_chat.Translation(BODY)
    assert [event.name for event in translation.feed(Event(b"", chunk(call(0, "{}"))))] == ["message_start"]
    with pytest.raises(ValueError, match="no tool"):
        translation.close()
