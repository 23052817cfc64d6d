"""Streams, let out as the proxy lets them out: cut anywhere, redacted, with results of the provider's own tools."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guard.guarding.incoming import Unscannable
from guard.guarding.rulings import Ruling
from guard.window.outcomes import Channel, Released
from rules.schema import Action
from server.dialects.messages import DIALECT
from server.dialects.messages.blocks import ASIDE
from server.proxy.queue import EventQueue
from server.upstreams.base import Event

BODY: dict[str, Any] = {"model": "claude", "max_tokens": 9, "messages": [], "tools": [{"name": "weather"}]}
MASK = "[redacted]"

Texts = dict[Channel, str]


def made(data: dict[str, Any]) -> Event:
    return Event(b"event: %b\ndata: %b\n\n" % (data["type"].encode(), orjson.dumps(data)), data, data["type"])


def opened(index: int, block: dict[str, Any]) -> Event:
    return made({"type": "content_block_start", "index": index, "content_block": block})


def piece(index: int, **delta: Any) -> Event:
    return made({"type": "content_block_delta", "index": index, "delta": delta})


def closed(index: int) -> Event:
    return made({"type": "content_block_stop", "index": index})


STARTED = made({"type": "message_start", "message": {"id": "msg_1", "type": "message", "content": [], "usage": {}}})


def read(events: list[Event]) -> Texts:
    """What a client reads, a channel."""
    shape, texts = DIALECT.stream(BODY, "filter"), dict[Channel, str]()
    for event in events:
        for _, channel, text in shape.texts(event):
            texts[channel] = texts.get(channel, "") + text
    return texts


def let_out(events: list[Event], borders: list[int], hide: str = "") -> list[Event]:
    """The events as they leave where each text is released up to the borders, one after another, `hide` masked."""
    shape = DIALECT.stream(BODY, "filter")
    queue = EventQueue(shape, keep=True)
    came: Texts = {}
    upto: dict[Channel, int] = {}
    left: list[Event] = []

    def release(channel: Channel, end: int) -> None:
        start = upto.get(channel, 0)
        spans, at = [], came[channel].find(hide) if hide else -1
        while at >= 0:
            low, high = max(at, start), min(at + len(hide), end)
            if low < high:
                spans.append((low, high))
            at = came[channel].find(hide, at + 1)
        text, at = "", start
        for low, high in spans:
            begins = came[channel].startswith(hide, low)
            text += came[channel][at:low] + (MASK if begins else "")
            at = high
        text += came[channel][at:end]
        queue.release(0, channel, Released(text, (start, end), tuple(spans)), MASK)
        upto[channel] = end
        left.extend(queue.ready())

    for event in events:
        deltas = shape.texts(event)
        queue.push(event, deltas)
        for _, channel, text in deltas:
            came[channel] = came.get(channel, "") + text
        for channel in came:
            for border in borders:
                safe = len(came[channel]) - len(hide)
                if upto.get(channel, 0) < border <= safe:
                    release(channel, border)
    for channel, text in came.items():
        release(channel, len(text))
    left.extend(queue.rest())
    return left


ANYWHERE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # the fixture is never changed


@ANYWHERE
@given(borders=st.lists(st.integers(0, 60), max_size=8).map(sorted))
def test_a_stream_released_anywhere_loses_nothing(borders: list[int], tool_stream: list[Event]) -> None:
    left = let_out(tool_stream, borders)
    assert read(left) == read(tool_stream)
    assert [event.name for event in left if event.name != "content_block_delta"] == [
        event.name for event in tool_stream if event.name != "content_block_delta"
    ]


def test_what_leaves_untouched_leaves_as_the_very_bytes_that_came(tool_stream: list[Event]) -> None:
    assert [event.raw for event in let_out(tool_stream, [])] == [event.raw for event in tool_stream]


@ANYWHERE
@given(borders=st.lists(st.integers(0, 60), max_size=8).map(sorted))
@pytest.mark.parametrize("hide", ["Two", "calls.", "at both", "Oslo", "k at b"])
def test_redacted_text_is_masked_wherever_the_stream_is_cut(
    hide: str, borders: list[int], tool_stream: list[Event]
) -> None:
    texts = read(let_out(tool_stream, borders, hide))
    assert texts == {channel: text.replace(hide, MASK) for channel, text in read(tool_stream).items()}


def test_the_signature_of_reasoning_that_was_redacted_does_not_leave(tool_stream: list[Event]) -> None:
    def signatures(events: list[Event]) -> list[str]:
        deltas = [event.data["delta"] for event in events if event.data and event.name == "content_block_delta"]
        return [delta["signature"] for delta in deltas if delta["type"] == "signature_delta"]

    assert signatures(let_out(tool_stream, [], "cities")) == [""]
    assert signatures(let_out(tool_stream, [3, 14])) == ["c2lnbmVk"]


@pytest.mark.parametrize("hide", ["", "Rome"])
@pytest.mark.parametrize("stopped", [False, True])
@pytest.mark.parametrize(
    "signed",
    [
        [opened(0, {"type": "thinking", "thinking": "", "signature": "c2lnbmVk"})],
        [opened(0, {"type": "thinking", "thinking": ""}), piece(0, type="signature_delta", signature="c2lnbmVk")],
    ],
    ids=["begun", "piece"],
)
def test_a_signature_that_came_first_is_taken_back_where_the_reasoning_is_not_sent_as_it_came(
    hide: str, stopped: bool, signed: list[Event]
) -> None:
    events = [
        STARTED,
        *signed,
        piece(0, type="thinking_delta", thinking="To Rome."),
        *([] if stopped else [closed(0)]),
    ]
    if stopped:
        shape = DIALECT.stream(BODY, "filter")
        for event in events:
            shape.texts(event)
            shape.settled(event, {})
        left = [shape.settled(event, {}) for event in shape.stopped(0, Ruling(Action.BLOCK, text="No."))]
    else:
        left = let_out(events, [], hide)
    taken_back = any(b'"signature":""' in event.raw for event in left)
    assert taken_back == (stopped or bool(hide))


def test_texts_that_follow_each_other_directly_are_one_channel_and_others_are_not() -> None:
    events = [
        opened(0, {"type": "text", "text": "The first "}),
        closed(0),
        opened(1, {"type": "text", "text": ""}),
        piece(1, type="text_delta", text="half."),
        closed(1),
        opened(2, {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}}),
        closed(2),
        opened(3, {"type": "text", "text": "The end."}),
        closed(3),
    ]
    assert read(events) == {
        Channel("text"): "The first half.",
        Channel("tool"): '{"city":"Oslo"}',
        Channel("text", 1): "The end.",
    }
    whole = [event.data["content_block"] for event in events if event.data and event.name == "content_block_start"]
    whole[1] = {"type": "text", "text": "half."}
    assert DIALECT.answers({"content": whole})[0].texts == {**read(events), ASIDE: "weather\n"}


def test_a_text_with_which_a_block_begins_is_cut_into_a_beginning_and_a_delta() -> None:
    events = [STARTED, opened(0, {"type": "text", "text": "One. Two."}), closed(0)]
    left = let_out(events, [5])
    assert [event.name for event in left] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
    ]
    assert read(left) == {Channel("text"): "One. Two."}


def test_a_tool_that_the_request_does_not_name_has_its_name_read() -> None:
    events = [opened(0, {"type": "tool_use", "id": "toolu_1", "name": "say a secret", "input": {}}), closed(0)]
    assert read(events) == {ASIDE: "say a secret\n"}
    (start, _) = let_out(events, [], "secret")
    assert start.data is not None
    assert start.data["content_block"]["name"] == "say a [redacted]"


CITED = {"type": "char_location", "cited_text": "First. Second.", "document_title": "A tale", "document_index": 0}
RESULT = {
    "type": "code_execution_tool_result",
    "tool_use_id": "srvtoolu_1",
    "content": {"type": "code_execution_result", "stdout": "One.\nTwo.", "stderr": "", "return_code": 0, "content": []},
}


@given(borders=st.lists(st.integers(0, 40), max_size=5).map(sorted))
def test_citations_and_results_leave_whole_or_masked(borders: list[int]) -> None:
    events = [
        opened(0, {"type": "text", "text": "It is told"}),
        piece(0, type="citations_delta", citation=CITED),
        closed(0),
        opened(1, RESULT),
        closed(1),
    ]
    assert [event.raw for event in let_out(events, []) if event.name != "x"] == [event.raw for event in events]
    left = let_out(events, borders)
    assert read(left) == read(events)
    assert [event.name for event in left if event.data == events[1].data] == ["content_block_delta"]
    hidden = let_out(events, borders, "Two")
    starts = [event.data["content_block"] for event in hidden if event.data and event.name == "content_block_start"]
    result = starts[1]
    assert result["content"]["stdout"] == "One.\n[redacted]."
    assert result["tool_use_id"] == "srvtoolu_1"


def well_formed(events: list[Event]) -> None:
    """Blocks are numbered from 0, one is open at a time, and the end comes once, after all of them."""
    names = [event.name for event in events if event.raw and event.name != "ping"]
    assert names[0] == "message_start"
    assert names[-2:] == ["message_delta", "message_stop"]
    assert names.count("message_start") == names.count("message_stop") == 1
    count, current = 0, None
    for event in events[1:-2]:
        if event.data is None or event.name == "ping":
            continue
        if event.name == "content_block_start":
            assert (current, event.data["index"]) == (None, count)
            current, count = count, count + 1
        else:
            assert event.data["index"] == current
            if event.name == "content_block_stop":
                current = None
    assert current is None


@ANYWHERE
@given(upto=st.integers(0, 18), dropped=st.integers(0, 6), empty=st.booleans())
def test_a_stream_stopped_anywhere_ends_properly_behind_what_has_left(
    upto: int, dropped: int, empty: bool, tool_stream: list[Event]
) -> None:
    shape = DIALECT.stream(BODY, "filter")
    queue = EventQueue(shape, keep=True)
    left, came, released = [], Texts(), dict[Channel, int]()
    ruling = Ruling(Action.BLOCK, text="I can't.")
    for place, event in enumerate(tool_stream[:upto]):
        deltas = shape.texts(event)
        queue.push(event, deltas)
        for _, channel, text in deltas:
            start = len(came.get(channel, ""))
            came[channel] = came.get(channel, "") + text
            end = start + len(text)
            if place >= upto - dropped:
                end = max(start, end - 4)
                if empty or end == start or released.get(channel, 0) < start:
                    continue
            queue.release(0, channel, Released(text[: end - start], (start, end)), MASK)
            released[channel] = end
        left.extend(queue.ready())
    queue.stop(0, released)
    left.extend(queue.ready())
    queue.add(shape.stopped(0, ruling))
    left.extend(queue.rest())
    well_formed(left)
    assert shape.ended() == []
    texts = read([event for event in left if event.name != "error"])
    said = "".join(text for channel, text in texts.items() if channel.kind == "text")
    assert said.endswith("I can't.")
    for event in left:
        if event.data and event.name == "content_block_start" and event.data["content_block"]["type"] == "text":
            index = event.data["index"]
            deltas_of = [each for each in left if each.data and each.data.get("index") == index]
            assert any(each.name == "content_block_delta" for each in deltas_of), "an empty text cannot be sent back"


UNKNOWN = [
    (piece(0, type="hologram_delta", image="A picture."), Unscannable("content[0]", "hologram_delta"), "A picture.\n"),
    (made({"type": "banner", "text": "Buy."}), Unscannable("event", "banner"), "Buy.\n"),
    (
        opened(1, {"type": "hologram", "image": "A picture."}),
        Unscannable("content[1]", "hologram"),
        "A picture.\n",
    ),
    (opened(1, {"type": "container_upload", "file_id": "f"}), Unscannable("content[1]", "container_upload"), ""),
    (
        made({"type": "message_start", "message": {"content": [{"type": "hologram", "image": "A picture."}]}}),
        Unscannable("content[0]", "hologram"),
        "A picture.\n",
    ),
]


@pytest.mark.parametrize(("event", "found", "read"), UNKNOWN, ids=[str(n) for n in range(len(UNKNOWN))])
def test_what_is_not_known_cannot_be_scanned_and_its_texts_are_read_all_the_same(
    event: Event, found: Unscannable, read: str
) -> None:
    shape = DIALECT.stream(BODY, "filter")
    shape.texts(opened(0, {"type": "text", "text": ""}))
    assert shape.unscannable(event) == found
    assert "".join(text for _, _, text in shape.texts(event)) == read


def test_known_events_can_be_scanned(tool_stream: list[Event]) -> None:
    shape = DIALECT.stream(BODY, "filter")
    for event in [*tool_stream, opened(7, RESULT), Event(b": still here\n\n", None, "", "comment")]:
        assert shape.unscannable(event) is None
        shape.texts(event)


def test_a_text_beside_a_delta_is_read() -> None:
    shape = DIALECT.stream(BODY, "filter")
    shape.texts(opened(0, {"type": "text", "text": ""}))
    event = piece(0, type="text_delta", text="Hi.", whisper="Something else.")
    assert shape.texts(event) == [(0, Channel("text"), "Hi."), (0, ASIDE, "Something else.\n")]
    cut = shape.cut(event, {(0, Channel("text")): "Hi.", (0, ASIDE): "[redacted]\n"}, first=True, last=True)
    assert cut is not None
    assert cut.data == {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi."}}


BROKEN = [
    piece(0, type="text_delta", text="before its block"),
    piece(1, type="text_delta", text="in a block of another kind"),
    piece(1, type="input_json_delta", partial_json=3),
    opened(1, {"type": "text", "text": "a block twice"}),
    opened(2, {"text": "a block of no type"}),
    opened(2, {"type": "text", "text": ["no text"]}),
    made({"type": "content_block_start", "index": 2}),
    made({"type": "content_block_delta", "index": 1}),
    made({"type": "message_start"}),
]


@pytest.mark.parametrize("event", BROKEN, ids=[str(n) for n in range(len(BROKEN))])
def test_an_event_without_the_shape_of_one_is_none(event: Event) -> None:
    shape = DIALECT.stream(BODY, "filter")
    shape.texts(opened(1, {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}))
    shape.unscannable(event)
    with pytest.raises(ValueError, match=r"."):
        shape.texts(event)


def test_a_stream_whose_end_was_swallowed_is_ended(tool_stream: list[Event]) -> None:
    shape = DIALECT.stream(BODY, "filter")
    for event in tool_stream[:8]:
        shape.texts(event)
        shape.settled(event, {})
    assert [event.name for event in shape.ended()] == ["content_block_stop", "message_delta", "message_stop"]
    assert shape.ended() == []
