"""The official client, against what the dialect says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import openai
import orjson
import pytest
from openai.types.responses import Response

from guard.guarding.rulings import Ruling
from guard.window.outcomes import Channel
from rules.schema import Action
from server.dialects.base import Fault
from server.dialects.responses import DIALECT
from server.dialects.responses.events import told
from server.translating import responses_to_chat
from server.upstreams.base import Event

Json = dict[str, Any]
Golden = Callable[[str], list[Event]]
ClientOf = Callable[[Callable[[Json], Json | list[Event]]], str]


@pytest.fixture
def client(client_of: ClientOf) -> Any:
    opened: list[openai.OpenAI] = []

    def open_client(answer: Callable[[Json], Json | list[Event]]) -> openai.OpenAI:
        opened.append(openai.OpenAI(base_url=client_of(answer), api_key="none", max_retries=0))
        return opened[-1]

    yield open_client
    for each in opened:
        each.close()


def stopping(word: str) -> Any:
    """Stops at a word."""
    return lambda channel, text, ended: None if word in text else len(text)


def test_a_reply_reads_as_an_incomplete_answer(client: Any) -> None:
    answer = client(lambda body: DIALECT.reply(body, "I would rather not.", "filter")).responses.create(
        model="m", input="hi"
    )
    assert answer.output_text == "I would rather not."
    assert answer.status == "incomplete"
    assert answer.incomplete_details.reason == "content_filter"


def test_a_refusal_reads_as_a_refusal(client: Any) -> None:
    answer = client(lambda body: DIALECT.reply(body, "I would rather not.", "refusal")).responses.create(
        model="m", input="hi"
    )
    assert answer.output[0].content[0].refusal == "I would rather not."
    assert answer.status == "completed"


@pytest.mark.parametrize("name", ["tools", "search"])
def test_a_guarded_stream_reads_as_the_model_s_own(
    client: Any, golden: Golden, passage: Any, at_once: Any, name: str
) -> None:
    left = passage(DIALECT.stream({}, "filter"), at_once).run(golden(name))
    with client(lambda body: left).responses.stream(model="m", input="hi") as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert kinds == [event.name for event in golden(name)]
    whole = (golden(name)[-1].data or {})["response"]
    assert final.output_text == Response.model_validate(whole).output_text


def test_calls_and_reasoning_reach_the_client(client: Any, golden: Golden, passage: Any, at_once: Any) -> None:
    left = passage(DIALECT.stream({}, "filter"), at_once).run(golden("tools"))
    with client(lambda body: left).responses.stream(model="m", input="hi") as stream:
        final = stream.get_final_response()
    assert final.output[0].summary[0].text == "**Looking** up the weather."
    assert [call.arguments for call in final.output if call.type == "function_call"] == [
        '{"city":"Bern"}',
        '{"city":"Graz"}',
    ]


@pytest.mark.parametrize("word", ["Looking", "both", "Bern", "Graz", "**"])
def test_a_stream_stopped_anywhere_is_taken_by_the_client_s_helper(
    client: Any, golden: Golden, passage: Any, word: str
) -> None:
    left = passage(DIALECT.stream({}, "filter"), stopping(word)).run(golden("tools"))
    with client(lambda body: left).responses.stream(model="m", input="hi") as stream:
        events = list(stream)
    final = events[-1]
    assert final.type == "response.incomplete"
    assert final.response.output_text.endswith("I would rather not.")
    assert word not in final.response.to_json().replace(f"call_{word}", "")
    assert [event.sequence_number for event in events] == list(range(len(events)))


@pytest.mark.parametrize("word", ["tower", "four", "330", "refuse", "more"])
def test_a_stream_with_many_tools_stopped_anywhere_is_taken_by_the_client_s_helper(
    client: Any, golden: Golden, passage: Any, word: str
) -> None:
    left = passage(DIALECT.stream({}, "filter"), stopping(word)).run(golden("search"))
    with client(lambda body: left).responses.stream(model="m", input="hi") as stream:
        events = list(stream)
    assert events[-1].type == ("response.completed" if word == "refuse" else "response.incomplete")


def test_a_revision_before_anything_was_said_reads_as_a_plain_answer(client: Any, golden: Golden, passage: Any) -> None:
    ruling = Ruling(Action.REVISE, text="Something else.")
    left = passage(DIALECT.stream({}, "filter"), stopping("both"), ruling).run(golden("tools"))
    with client(lambda body: left).responses.stream(model="m", input="hi") as stream:
        final = stream.get_final_response()
    assert final.status == "completed"
    assert final.output_text == "I will look at Something else."


def test_a_masked_stream_reads_the_same_in_pieces_and_whole(
    client: Any, golden: Golden, passage: Any, at_once: Any
) -> None:
    masked = [event.raw.replace(b"both cities", b"FORBIDDEN") for event in golden("tools")]
    again = [told(orjson.loads(raw.split(b"data: ", 1)[1])) for raw in masked]
    left = passage(DIALECT.stream({}, "filter"), at_once, mask="[redacted]").run(again)
    with client(lambda body: left).responses.stream(model="m", input="hi") as stream:
        pieces = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert "".join(pieces) == final.output_text == "I will look at [redacted]."


async def test_the_asynchronous_client_reads_a_whole_answer_said_as_a_stream(
    client_of: ClientOf, golden: Golden
) -> None:
    whole = (golden("search")[-1].data or {})["response"]
    address = client_of(lambda body: DIALECT.stream(body, "filter").whole(whole))
    async with openai.AsyncOpenAI(base_url=address, api_key="none", max_retries=0) as client:
        async with client.responses.stream(model="m", input="hi") as stream:
            async for _ in stream:
                pass
            final = await stream.get_final_response()
        plain = [event.type async for event in await client.responses.create(model="m", input="hi", stream=True)]
    assert final.output_text == "It is 330 metres high."
    assert [item.type for item in final.output] == [item["type"] for item in whole["output"]]
    assert final.output[4].content[1].refusal == "I cannot say more."
    assert plain[0] == "response.created"
    assert plain[-1] == "response.completed"


def test_a_fault_in_the_middle_reaches_the_client(client: Any, golden: Golden) -> None:
    def broken(body: Json) -> list[Event]:
        shape = DIALECT.stream(body, "filter")
        left = []
        for event in golden("tools")[:14]:
            shape.texts(event)
            left.append(shape.settled(event, {}))
        return [*left, *shape.fault(Fault(502, "upstream", "the model broke off"))]

    with client(broken).responses.stream(model="m", input="hi") as stream:
        events = list(stream)
        with pytest.raises(RuntimeError):
            stream.get_final_response()
    assert [event.type for event in events[-2:]] == ["error", "response.failed"]
    assert events[-1].response.error.message == "the model broke off"


def test_a_clean_stream_through_a_real_window_waits_for_no_item_that_is_over(golden: Golden, passage: Any) -> None:
    """Where the ends of items are told, what stands behind them leaves before the stream has ended."""
    shape = DIALECT.stream({}, "filter")
    ended: set[Channel] = set()
    run = passage(shape, lambda channel, text, ended: len(text) if ended else max(0, len(text) - 5))
    seen = 0
    for event in golden("tools"):
        deltas = shape.texts(event)
        run.queue.push(event, deltas)
        for _, channel, text in deltas:
            run.came[channel] = run.came.get(channel, "") + text
            run._judged(channel, ended=False)
        for _, channel in shape.closed(event):
            ended.add(channel)
            run._judged(channel, ended=True)
        run.left += run.queue.ready()
        if event.name == "response.output_text.delta":
            seen += any(each.name == "response.output_text.delta" for each in run.left)
    assert seen > 0
    assert Channel("reasoning", 0) in ended


def test_the_golden_streams_are_streams_of_the_client_s_own_types(golden: Golden) -> None:
    from openai._models import construct_type
    from openai.types.responses import ResponseStreamEvent

    for name in ("tools", "search"):
        for event in golden(name):
            made: Any = construct_type(type_=ResponseStreamEvent, value=event.data)
            assert type(made).__name__ != "dict"
            assert made.type == event.name


def test_a_translated_stream_is_taken_by_the_client_s_helper(client: Any) -> None:
    def chunk(delta: Json, finish: str | None = None) -> Event:
        return Event(b"", {"model": "served", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    def call(index: int, text: str, **more: Any) -> Json:
        return {"tool_calls": [{"index": index, "function": {"arguments": text, **more}}]}

    def translated(body: Json) -> list[Event]:
        translation = responses_to_chat.Translation(body)
        said = [{"reasoning_content": "hm"}, {"content": "Both"}, {"content": "."}]
        calls = [call(0, '{"n"', name="f"), call(1, '{"n":2}', name="f"), call(0, ":1}")]
        made = [event for delta in said + calls for event in translation.feed(chunk(delta))]
        return [*made, *translation.feed(chunk({}, "tool_calls")), *translation.close()]

    with client(translated).responses.stream(model="m", input="hi") as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_response()
    assert "response.reasoning_text.delta" in kinds
    assert final.output_text == "Both."
    assert [item.arguments for item in final.output if item.type == "function_call"] == ['{"n":1}', '{"n":2}']
