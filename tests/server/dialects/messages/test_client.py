"""Anthropic's own client, before what the dialect makes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import anthropic
import pytest

from guard.guarding.rulings import Ruling
from rules.schema import Action
from server.dialects.base import Fault
from server.dialects.messages import DIALECT
from server.upstreams.base import Event

BODY: dict[str, Any] = {"model": "claude", "max_tokens": 100, "messages": [{"role": "user", "content": "weather?"}]}
REPLY = "I can't help with that."


@pytest.fixture
def client(server: Any) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(api_key="k", base_url=server.url, max_retries=0) as client:
        yield client


@pytest.fixture
async def asynchronous(server: Any) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(api_key="k", base_url=server.url, max_retries=0) as client:
        yield client


def passed(events: list[Event], upto: int | None = None, ruling: Ruling | None = None) -> list[Event]:
    """Events through a stream of the dialect as the proxy lets them: the first so many, then what ends it."""
    shape = DIALECT.stream(BODY, "filter")
    left = []
    for event in events[:upto]:
        shape.texts(event)
        left.append(shape.settled(event, {}))
    if ruling is not None:
        left += [shape.settled(event, {}) for event in shape.stopped(0, ruling)]
    return left + shape.ended()


WHOLE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude",
    "content": [
        {"type": "thinking", "thinking": "Two cities, two calls.", "signature": "c2lnbmVk"},
        {"type": "text", "text": "I look at both."},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}},
        {"type": "tool_use", "id": "toolu_2", "name": "weather", "input": {"city": "Rome"}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {"input_tokens": 7, "output_tokens": 20},
}


def test_a_stream_that_passes_is_put_together_by_the_client(
    client: anthropic.Anthropic, server: Any, tool_stream: list[Event]
) -> None:
    server.stream(passed(tool_stream))
    with client.messages.stream(**BODY) as stream:
        events = list(stream)
        message = stream.get_final_message()
    assert message.to_dict(exclude_none=True) == {key: value for key, value in WHOLE.items() if value is not None}
    assert "".join(event.text for event in events if event.type == "text") == "I look at both."


async def test_a_whole_answer_told_as_a_stream_is_the_same_message(
    asynchronous: anthropic.AsyncAnthropic, server: Any
) -> None:
    server.stream(DIALECT.stream(BODY, "filter").whole(WHOLE))
    async with asynchronous.messages.stream(**BODY) as stream:
        message = await stream.get_final_message()
    assert message.to_dict(exclude_none=True) == {key: value for key, value in WHOLE.items() if value is not None}


@pytest.mark.parametrize("upto", range(19))
def test_a_stream_stopped_after_any_event_ends_as_a_refusal(
    client: anthropic.Anthropic, server: Any, tool_stream: list[Event], upto: int
) -> None:
    server.stream(passed(tool_stream, upto, Ruling(Action.BLOCK, text=REPLY)))
    with client.messages.stream(**BODY) as stream:
        message = stream.get_final_message()
    assert message.stop_reason == "refusal"
    assert message.stop_details is not None
    last = message.content[-1]
    assert last.type == "text"
    assert last.text == REPLY


def test_a_revision_ends_a_stream_as_an_answer_does(
    client: anthropic.Anthropic, server: Any, tool_stream: list[Event]
) -> None:
    server.stream(passed(tool_stream, 1, Ruling(Action.REVISE, text="A better answer.")))
    with client.messages.stream(**BODY) as stream:
        message = stream.get_final_message()
    assert (message.stop_reason, message.content[0].to_dict()) == (
        "end_turn",
        {"type": "text", "text": "A better answer."},
    )


@pytest.mark.parametrize("streamed", [False, True])
def test_a_reply_of_the_guard_is_a_message_that_refuses(
    client: anthropic.Anthropic, server: Any, streamed: bool
) -> None:
    reply = DIALECT.reply(BODY, REPLY, "filter")
    if streamed:
        server.stream(DIALECT.stream(BODY, "filter").whole(reply))
        with client.messages.stream(**BODY) as stream:
            message: Any = stream.get_final_message()
    else:
        server.json(reply)
        message = client.messages.create(**BODY)
    assert message.model == "claude"
    assert message.stop_reason == "refusal"
    assert [block.text for block in message.content] == [REPLY]


def test_the_client_keeps_the_wardlaw_object_of_the_event_before_the_last(
    client: anthropic.Anthropic, server: Any, tool_stream: list[Event]
) -> None:
    events = passed(tool_stream)
    shape = DIALECT.stream(BODY, "filter")
    assert shape.noted(events[-1], {"action": "allow"}) is events[-1]
    events[-2] = shape.noted(events[-2], {"action": "allow"})
    server.stream(events)
    with client.messages.create(**BODY, stream=True) as stream:
        raw: list[Any] = list(stream)
    assert raw[-2].wardlaw == {"action": "allow"}


FAULTS = [
    (Fault(400, "invalid_request", "no list", where="messages"), anthropic.BadRequestError, "invalid_request_error"),
    (Fault(401, "authentication", "no key"), anthropic.AuthenticationError, "authentication_error"),
    (Fault(403, "permission", "not yours"), anthropic.PermissionDeniedError, "permission_error"),
    (Fault(404, "not_found", "no such model"), anthropic.NotFoundError, "not_found_error"),
    (Fault(429, "rate_limit", "too many"), anthropic.RateLimitError, "rate_limit_error"),
    (Fault(502, "upstream", "broken"), anthropic.InternalServerError, "api_error"),
    (Fault(400, "content_filter", REPLY), anthropic.BadRequestError, "invalid_request_error"),
]


@pytest.mark.parametrize(("fault", "error", "kind"), FAULTS, ids=[fault.kind for fault, _, _ in FAULTS])
def test_a_fault_raises_the_clients_own_error(
    client: anthropic.Anthropic, server: Any, fault: Fault, error: type[anthropic.APIStatusError], kind: str
) -> None:
    server.json(DIALECT.fault(fault), fault.status)
    with pytest.raises(error) as raised:
        client.messages.create(**BODY)
    assert raised.value.type == kind
    assert fault.message in raised.value.message


def test_a_fault_names_its_place_once() -> None:
    for message in ("no list", "messages: no list"):
        fault = Fault(400, "invalid_request", message, where="messages")
        assert DIALECT.fault(fault)["error"]["message"] == "messages: no list"


def test_a_fault_in_the_middle_of_a_stream_raises(
    client: anthropic.Anthropic, server: Any, tool_stream: list[Event]
) -> None:
    shape = DIALECT.stream(BODY, "filter")
    server.stream(tool_stream[:4] + shape.fault(Fault(502, "upstream", "the model went away")))
    with pytest.raises(anthropic.APIStatusError, match="the model went away"), client.messages.stream(**BODY) as stream:
        stream.get_final_message()


def test_redacted_tool_input_is_still_json_to_the_client(
    client: anthropic.Anthropic, server: Any, tool_stream: list[Event]
) -> None:
    shape = DIALECT.stream(BODY, "filter")
    left = []
    for event in tool_stream:
        deltas = shape.texts(event)
        if event.data and event.data.get("index") == 3 and deltas:
            texts = {(choice, channel): text.replace("Rome", "[redacted]") for choice, channel, text in deltas}
            event = shape.cut(event, texts, first=True, last=True) or event
        left.append(shape.settled(event, {}))
    server.stream(left)
    with client.messages.stream(**BODY) as stream:
        message = stream.get_final_message()
    assert [block.input for block in message.content if block.type == "tool_use"] == [
        {"city": "Oslo"},
        {"city": "[redacted]"},
    ]
