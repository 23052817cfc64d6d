from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.guarding.rulings import Ruling
from guard.window.outcomes import Channel
from rules.schema import Action
from server.dialects.base import Fault
from server.dialects.responses import DIALECT
from server.dialects.responses.events import told
from server.upstreams.base import Event

Json = dict[str, Any]
Golden = Callable[[str], list[Event]]
BODY: Json = {"model": "gpt-5.4", "input": "hi", "stream": True}


def data_of(events: list[Event]) -> list[Json]:
    """What a client reads: from the bytes, not from what the events say that they are."""
    found = []
    for event in events:
        for block in event.raw.split(b"\n\n"):
            lines = [line[6:] for line in block.split(b"\n") if line.startswith(b"data: ")]
            found += [orjson.loads(line) for line in lines]
    return found


def numbered(datas: list[Json]) -> list[Event]:
    return [told({**data, "sequence_number": place}) for place, data in enumerate(datas)]


def message_stream(*parts: str, done: str | None = None, last: Json | None = None) -> list[Event]:
    """A short stream whose one message is said in these pieces."""
    text = "".join(parts)
    part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    at = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    whole = {**part, "text": text if done is None else done}
    ended = {**item, "status": "completed", "content": [whole]}
    response = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": "m",
        "status": "in_progress",
        "output": [],
    }
    return numbered(
        [
            {"type": "response.created", "response": response},
            {"type": "response.output_item.added", "output_index": 0, "item": item},
            {"type": "response.content_part.added", **at, "part": part},
            *({"type": "response.output_text.delta", **at, "delta": piece, "logprobs": []} for piece in parts),
            {"type": "response.output_text.done", **at, "text": whole["text"], "logprobs": []},
            {"type": "response.content_part.done", **at, "part": whole},
            {"type": "response.output_item.done", "output_index": 0, "item": ended},
            {
                "type": "response.completed",
                "response": {**response, "status": "completed", "output": [ended], **(last or {})},
            },
        ]
    )


def strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for each in value.values() for text in strings(each)]
    return [text for each in value for text in strings(each)] if isinstance(value, list) else []


class Reading:
    """What a client makes of a stream, with the checks that a strict one makes."""

    def __init__(self, events: list[Event]) -> None:
        self.datas = data_of(events)
        self.items: dict[int, Json] = {}
        self.texts: dict[tuple[Any, ...], str] = {}
        assert [data["sequence_number"] for data in self.datas] == list(range(len(self.datas)))
        assert self.datas[0]["type"] == "response.created"
        for data in self.datas:
            self._take(data)
        self.final = self.datas[-1]
        assert self.final["type"] in ("response.completed", "response.incomplete", "response.failed")
        if self.final["type"] != "response.failed":
            assert self.final["response"]["output"] == [self.items[place] for place in sorted(self.items)]

    def _take(self, data: Json) -> None:
        kind, place = data["type"], data.get("output_index")
        if kind == "response.output_item.added":
            assert place not in self.items
            self.items[place] = {}
        elif kind == "response.output_item.done":
            self.items[place] = data["item"]
            for at, text in self.texts.items():
                if at[0] == place:
                    assert text in strings(data["item"])
        elif kind.endswith(".delta"):
            assert self.items[place] == {}, "a delta comes after its item was added and before it is done"
            at = (place, kind[:-6], data.get("content_index"), data.get("summary_index"))
            self.texts[at] = self.texts.get(at, "") + data["delta"]
        elif kind.endswith("_part.done"):
            assert set(strings(data["part"])) >= set()
        elif kind.endswith(".done") and "part" not in data:
            at = (place, kind[:-5], data.get("content_index"), data.get("summary_index"))
            said = data.get("text", data.get("arguments", data.get("input", data.get("code", data.get("refusal")))))
            assert said == self.texts.get(at, ""), "a text's end repeats what was said"

    @property
    def text(self) -> str:
        return "".join(text for at, text in self.texts.items() if at[1] == "response.output_text")


@pytest.mark.parametrize("name", ["tools", "search"])
def test_a_clean_stream_leaves_byte_for_byte(golden: Golden, passage: Any, at_once: Any, name: str) -> None:
    events = golden(name)
    left = passage(DIALECT.stream(BODY, "filter"), at_once).run(events)
    assert [event.raw for event in left] == [event.raw for event in events]


def test_each_text_goes_through_a_channel_of_its_kind(golden: Golden, passage: Any, at_once: Any) -> None:
    run = passage(DIALECT.stream(BODY, "filter"), at_once)
    run.run(golden("tools"))
    assert run.came == {
        Channel("reasoning", 0): "**Looking** up the weather.",
        Channel("text", 0): "I will look at both cities.",
        Channel("tool", 0): '{"city":"Bern"}',
        Channel("tool", 1): '{"city":"Graz"}',
        Channel("aside", 0): "get_weather",
        Channel("aside", 1): "get_weather",
    }


def test_what_tools_looked_for_and_gave_back_is_scanned_too(golden: Golden, passage: Any, at_once: Any) -> None:
    run = passage(DIALECT.stream(BODY, "filter"), at_once)
    run.run(golden("search"))
    said = "\n".join(run.came.values())
    whole = ["height of the tower", "https://example.org/tower", "rolled a four", '{"sides":6}', "print(4*6)"]
    for text in (*whole, "24 is printed", "ls -la", "The tower, measured"):
        assert text in said
    assert run.came[Channel("text", 0)] == "It is 330 metres high."
    assert run.came[Channel("refusal", 0)] == "I cannot say more."


def test_repeated_texts_are_scanned_once(golden: Golden, passage: Any, at_once: Any) -> None:
    run = passage(DIALECT.stream(BODY, "filter"), at_once)
    run.run(golden("search"))
    assert sum(text.count("330 metres") for text in run.came.values()) == 1
    assert sum(text.count("rolled a four") for text in run.came.values()) == 1


def test_a_text_that_no_delta_brought_is_scanned_where_it_is_said(passage: Any, at_once: Any) -> None:
    events = message_stream(done="only at the end")
    run = passage(DIALECT.stream(BODY, "filter"), at_once)
    left = run.run(events)
    assert run.came == {Channel("text", 0): "only at the end"}
    assert data_of(left)[-1]["response"]["output"][0]["content"][0]["text"] == "only at the end"


def test_an_end_that_says_more_than_the_deltas_adds_the_rest(passage: Any, at_once: Any) -> None:
    run = passage(DIALECT.stream(BODY, "filter"), at_once)
    left = run.run(message_stream("Hello", done="Hello world"))
    assert run.came == {Channel("text", 0): "Hello world"}
    assert data_of(left)[-1]["response"]["output"][0]["content"][0]["text"] == "Hello world"


def test_an_end_that_contradicts_the_deltas_is_scanned_anew(passage: Any, at_once: Any) -> None:
    run = passage(DIALECT.stream(BODY, "filter"), at_once)
    run.run(message_stream("Hello", done="Goodbye"))
    assert sorted(run.came.values()) == ["Goodbye", "Hello"]


def test_an_end_that_says_less_than_the_deltas_is_scanned_by_itself(passage: Any, at_once: Any) -> None:
    run = passage(DIALECT.stream(BODY, "filter"), at_once)
    left = data_of(run.run(message_stream("Hello", " world", done="world")))
    assert sorted(run.came.values()) == ["Hello world", "world"]
    assert left[-1]["response"]["output"][0]["content"][0]["text"] == "world"


def test_text_in_a_final_answer_alone_is_scanned_before_it_leaves(passage: Any) -> None:
    events = message_stream("fine")
    extra = {"id": "msg_2", "type": "message", "role": "assistant", "status": "completed",
             "content": [{"type": "output_text", "text": "FORBIDDEN thing", "annotations": []}]}  # fmt: skip
    last = events[-1].data or {}
    response = {**last["response"], "output": [*last["response"]["output"], extra]}
    events[-1] = told({**last, "response": response})

    def scan(channel: Channel, text: str, *, ended: bool) -> int | None:
        return None if "FORBIDDEN" in text else len(text)

    left = passage(DIALECT.stream(BODY, "filter"), scan).run(events)
    assert b"FORBIDDEN" not in b"".join(event.raw for event in left)
    assert Reading(left).final["type"] == "response.incomplete"


def test_a_masked_word_is_masked_wherever_it_is_repeated(passage: Any, at_once: Any) -> None:
    probable = [{"token": "FORBIDDEN", "logprob": -0.1, "bytes": [], "top_logprobs": []}]
    events = message_stream("do ", "FORBIDDEN", " things")
    for place, event in enumerate(events):
        data = orjson.loads(orjson.dumps(event.data))
        if data["type"] == "response.output_text.done" or data.get("delta") == "FORBIDDEN":
            data["logprobs"] = probable
        if data["type"] == "response.completed":
            data["response"]["output"][0]["content"][0]["logprobs"] = probable
            data["response"]["output_text"] = "do FORBIDDEN things"
        events[place] = told(data)
    run = passage(DIALECT.stream(BODY, "filter"), at_once, mask="[redacted]")
    left = run.run(events)
    assert b"FORBIDDEN" not in b"".join(event.raw for event in left)
    reading = Reading(left)
    assert reading.text == "do [redacted] things"
    assert reading.final["response"]["output_text"] == "do [redacted] things"
    assert reading.final["response"]["output"][0]["content"][0]["logprobs"] == []


@pytest.mark.parametrize(("filtered", "ending", "kind", "part"), [
    (True, "filter", "response.incomplete", "output_text"),
    (True, "refusal", "response.completed", "refusal"),
    (False, "filter", "response.completed", "output_text"),
])  # fmt: skip
def test_a_stopped_stream_closes_what_is_open_and_says_the_reply(
    golden: Golden, passage: Any, filtered: bool, ending: Any, kind: str, part: str
) -> None:
    def scan(channel: Channel, text: str, *, ended: bool) -> int | None:
        return None if "both" in text else len(text)

    ruling = Ruling(Action.BLOCK if filtered else Action.REVISE, text="Something else.")
    left = passage(DIALECT.stream(BODY, ending), scan, ruling).run(golden("tools"))
    reading = Reading(left)
    assert reading.final["type"] == kind
    output = reading.final["response"]["output"]
    assert [item["type"] for item in output] == ["reasoning", "message", "message"]
    assert output[1]["content"][0]["text"] == "I will look at "
    assert output[1]["status"] == "incomplete"
    assert output[2]["content"][0]["type"] == part
    assert "Something else." in strings(output[2])
    details = reading.final["response"]["incomplete_details"]
    assert details == ({"reason": "content_filter"} if kind == "response.incomplete" else None)


def test_a_reply_takes_over_a_message_in_which_nothing_was_said(passage: Any) -> None:
    left = passage(DIALECT.stream(BODY, "filter"), lambda channel, text, ended: None).run(message_stream("Hello"))
    reading = Reading(left)
    assert [data["type"] for data in reading.datas].count("response.output_item.added") == 1
    assert reading.text == "I would rather not."
    assert len(reading.final["response"]["output"]) == 1
    assert b"Hello" not in b"".join(event.raw for event in left)


def test_a_stop_within_tool_arguments_leaves_the_call_unfinished(golden: Golden, passage: Any) -> None:
    def scan(channel: Channel, text: str, *, ended: bool) -> int | None:
        return None if "Graz" in text else len(text)

    reading = Reading(passage(DIALECT.stream(BODY, "filter"), scan).run(golden("tools")))
    output = reading.final["response"]["output"]
    assert [item["type"] for item in output] == ["reasoning", "message", "function_call", "function_call", "message"]
    assert (output[3]["arguments"], output[3]["status"]) == ('{"city":"', "incomplete")


def test_nothing_follows_the_end_of_a_stopped_stream(golden: Golden) -> None:
    shape = DIALECT.stream(BODY, "filter")
    events = golden("tools")
    assert all(shape.without(event, {0}) is None for event in events)
    assert shape.without(Event(b": hi\n\n", None, kind="comment"), {0}) is not None
    assert shape.without(events[3], set()) is events[3]


def test_numbers_go_on_where_events_are_cut_or_missing(passage: Any) -> None:
    events = message_stream("one two three four")
    stripped = [told({name: value for name, value in (event.data or {}).items() if name != "sequence_number"})
                for event in events]  # fmt: skip

    def slowly(channel: Channel, text: str, *, ended: bool) -> int:
        return len(text) if ended else len(text) // 2

    reading = Reading(passage(DIALECT.stream(BODY, "filter"), slowly).run(stripped))
    assert reading.text == "one two three four"


def test_text_split_over_messages_is_one_text_to_the_scan(passage: Any, at_once: Any) -> None:
    first, second = message_stream("how to build a"), message_stream("small boat")
    moved = []
    for event in second[1:-1]:
        data = orjson.loads(orjson.dumps(event.data).replace(b"msg_1", b"msg_2"))
        moved.append({**data, "output_index": 1})
    last = first[-1].data or {}
    output = [*last["response"]["output"], moved[-1]["item"]]
    datas = [event.data or {} for event in first[:-1]] + moved
    datas.append({**last, "response": {**last["response"], "output": output}})
    run = passage(DIALECT.stream(BODY, "filter"), at_once)
    reading = Reading(run.run(numbered(datas)))
    assert run.came == {Channel("text", 0): "how to build a\nsmall boat"}
    assert reading.text == "how to build asmall boat"


def test_parts_that_are_said_at_the_same_time_have_channels_of_their_own(passage: Any, at_once: Any) -> None:
    events = message_stream("ab")
    at = {"item_id": "msg_1", "output_index": 0, "content_index": 1}
    part = {"type": "output_text", "text": "", "annotations": []}
    datas = [event.data or {} for event in events]
    delta = next(place for place, data in enumerate(datas) if data["type"].endswith("text.delta"))
    added = {"type": "response.content_part.added", **at, "part": part}
    datas[delta + 1 : delta + 1] = [added, {"type": "response.output_text.delta", **at, "delta": "x"},
                                    {**datas[delta], "delta": "cd"}]  # fmt: skip
    shape = DIALECT.stream(BODY, "filter")
    said: dict[Channel, str] = {}
    for event in numbered(datas[: delta + 4]):
        for _, channel, text in shape.texts(event):
            said[channel] = said.get(channel, "") + text
    assert said == {Channel("text", 0): "abcd", Channel("text", 1): "x"}


def test_more_of_a_text_that_had_ended_is_refused(passage: Any) -> None:
    shape = DIALECT.stream(BODY, "filter")
    events = message_stream("ab")
    item = {"id": "fc_1", "type": "function_call", "name": "f", "call_id": "c", "arguments": ""}
    for event in events[:-1]:
        shape.texts(event)
    call = told({"type": "response.output_item.added", "output_index": 1, "item": item})
    shape.texts(call)
    assert shape.closed(call) == [(0, Channel("text", 0))]  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=r"output\[0\]: more of a text that had ended"):
        shape.texts(events[3])


def test_reasoning_and_calls_are_told_to_be_over_when_their_item_is(golden: Golden) -> None:
    shape = DIALECT.stream(BODY, "filter")
    closed = []
    for event in golden("tools"):
        shape.texts(event)
        closed += shape.closed(event)  # type: ignore[attr-defined]
    assert closed == [
        (0, Channel("reasoning", 0)),
        (0, Channel("text", 0)),
        (0, Channel("aside", 0)),
        (0, Channel("tool", 0)),
        (0, Channel("aside", 1)),
        (0, Channel("tool", 1)),
    ]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ({"type": "response.image_generation_call.partial_image", "partial_image_b64": "aGk="}, "partial_image_b64"),
        ({"type": "response.audio.delta", "delta": "aGk="}, "delta"),
        ({"type": "response.hologram.delta", "delta": "words"}, "event"),
        ({"type": "response.output_item.done", "output_index": 0,
          "item": {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "aGk="}},
         "image_generation_call"),
    ],
)  # fmt: skip
def test_what_cannot_be_scanned_is_named(data: Json, what: str) -> None:
    found = DIALECT.stream(BODY, "filter").unscannable(told(data))
    assert found is not None
    assert found.what == what


def test_an_event_that_is_no_json_object_cannot_be_scanned() -> None:
    shape = DIALECT.stream(BODY, "filter")
    assert shape.unscannable(Event(b"data: [1]\n\n", None)) is not None
    assert shape.unscannable(Event(b": alive\n\n", None, kind="comment")) is None
    assert shape.unscannable(Event(b"data: [DONE]\n\n", None, kind="done")) is None


def test_words_in_members_that_are_not_known_are_scanned(passage: Any, at_once: Any) -> None:
    events = message_stream("hi")
    for place, event in enumerate(events):
        if event.name == "response.output_text.delta":
            events[place] = told({**(event.data or {}), "shadow": "words beside the text", "obfuscation": "aB3"})
    run = passage(DIALECT.stream(BODY, "filter"), at_once)
    left = run.run(events)
    assert "words beside the text" in run.came.values()
    assert [event.raw for event in left] == [event.raw for event in events]


def test_probabilities_without_a_text_are_read_as_one(passage: Any, at_once: Any) -> None:
    probable = [{"token": "a secret", "logprob": -0.1, "bytes": [], "top_logprobs": []}]
    events = message_stream("hi")
    at = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    datas = [event.data or {} for event in events]
    datas.insert(4, {"type": "response.output_text.delta", **at, "delta": "", "logprobs": probable})
    run = passage(DIALECT.stream(BODY, "filter"), at_once)
    run.run(numbered(datas))
    assert "a secret" in run.came.values()


def test_an_upstream_that_leaves_the_beginnings_of_parts_out_is_closed_with_what_was_sent(passage: Any) -> None:
    events = [event for event in message_stream("Hello", " there", " both") if "content_part" not in event.name]

    def scan(channel: Channel, text: str, *, ended: bool) -> int | None:
        return None if "both" in text else len(text)

    left = data_of(passage(DIALECT.stream(BODY, "filter"), scan).run(numbered([event.data or {} for event in events])))
    said, reply = left[-1]["response"]["output"]
    assert said["content"][0]["text"] == "Hello there"
    assert reply["content"][0]["text"] == "I would rather not."


def test_an_event_whose_texts_were_never_seen_leaves_without_them() -> None:
    shape = DIALECT.stream(BODY, "filter")
    event = message_stream("a secret")[-1]
    assert b"a secret" not in shape.settled(event, {}).raw


@pytest.mark.parametrize("data", [
    {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": 5},
    {"type": "response.output_text.delta", "output_index": "x", "content_index": 0, "delta": "a"},
    {"type": "response.output_text.delta", "output_index": 0, "content_index": None, "delta": "a"},
    {"type": "response.completed", "response": "done"},
    {"type": "response.completed", "response": {"output": "done"}},
    {"type": "response.output_item.done", "output_index": 0, "item": []},
    {"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": None},
    {"type": "response.content_part.done", "output_index": 0, "content_index": -1, "part": {}},
])  # fmt: skip
def test_an_event_of_another_shape_is_refused(data: Json) -> None:
    with pytest.raises(ValueError, match=r"^\w+"):
        DIALECT.stream(BODY, "filter").texts(told(data))


def test_a_fault_in_the_middle_is_an_error_and_a_failed_answer(golden: Golden) -> None:
    shape = DIALECT.stream(BODY, "filter")
    for event in golden("tools")[:14]:
        shape.texts(event)
        shape.settled(event, {})
    error, failed = data_of(shape.fault(Fault(502, "upstream", "the model broke off")))
    assert (error["type"], error["sequence_number"], error["message"]) == ("error", 14, "the model broke off")
    assert (failed["type"], failed["sequence_number"]) == ("response.failed", 15)
    assert failed["response"]["error"] == {"code": "server_error", "message": "the model broke off"}
    assert failed["response"]["output"][1]["content"][0]["text"].startswith("I will look")


def test_a_stream_whose_end_was_lost_is_ended(golden: Golden) -> None:
    shape = DIALECT.stream(BODY, "filter")
    left = []
    for event in golden("tools")[:14]:
        shape.texts(event)
        left.append(shape.settled(event, {}))
    reading = Reading([*left, *shape.ended()])
    assert reading.final["type"] == "response.completed"
    assert shape.ended() == []


def test_the_last_event_carries_the_note(golden: Golden) -> None:
    shape = DIALECT.stream(BODY, "filter")
    noted = shape.noted(golden("tools")[-1], {"action": "allow"})
    assert data_of([noted])[0]["response"]["wardlaw"] == {"action": "allow"}


@pytest.mark.parametrize("name", ["tools", "search"])
def test_a_whole_answer_is_said_as_a_stream(golden: Golden, name: str) -> None:
    response = (golden(name)[-1].data or {})["response"]
    reading = Reading(DIALECT.stream(BODY, "filter").whole(response))
    assert reading.final["response"] == response


def test_a_reply_is_said_as_a_stream() -> None:
    reply = DIALECT.reply(BODY, "I would rather not.", "filter")
    reading = Reading(DIALECT.stream(BODY, "filter").whole(reply))
    assert reading.text == "I would rather not."
    assert reading.final["type"] == "response.incomplete"


PIECES = st.lists(st.text(st.sampled_from("ab FORBIDEN\n"), min_size=1, max_size=7), min_size=1, max_size=6)


@settings(max_examples=150, deadline=None)
@given(PIECES, st.randoms(use_true_random=False), st.sampled_from([None, "", "FORBIDDEN at last"]))
def test_however_a_stream_is_cut_nothing_is_lost(passage: Any, parts: list[str], random: Any, more: str | None) -> None:
    done = None if more is None else "".join(parts) + more
    text = "".join(parts) if done is None else done

    def scan(channel: Channel, text: str, *, ended: bool) -> int:
        at = len(text) if ended else random.randint(0, len(text))
        start = max(text.rfind("FORBIDDEN", 0, at + 8), 0)
        inside = text.startswith("FORBIDDEN", start) and start < at < start + 9
        # A word that may still become the forbidden one waits.
        waits = next((start for start in range(max(0, len(text) - 8), len(text))
                      if "FORBIDDEN".startswith(text[start:])), len(text))  # fmt: skip
        return min(start if inside else at, len(text) if ended else waits)

    left = passage(DIALECT.stream(BODY, "filter"), scan, mask="#").run(message_stream(*parts, done=done))
    final = Reading2(left).final["response"]["output"][0]["content"][0]["text"]
    assert final == text.replace("FORBIDDEN", "#")
    assert b"FORBIDDEN" not in b"".join(event.raw for event in left)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 60), st.randoms(use_true_random=False), st.sampled_from(["tools", "search"]))
def test_wherever_a_stream_is_stopped_only_what_had_left_is_repeated(
    golden: Golden, passage: Any, after: int, random: Any, name: str
) -> None:
    count = 0

    def scan(channel: Channel, text: str, *, ended: bool) -> int | None:
        nonlocal count
        count += 1
        if count > after:
            return None
        return random.randint(0, len(text)) if not ended else len(text)

    run = passage(
        DIALECT.stream(BODY, "filter"),
        lambda channel, text, ended: stay(run, channel, scan(channel, text, ended=ended)),
    )
    events = golden(name)
    left = run.run(events)
    reading = Reading(left)
    came = "\n".join(run.came.values())
    for at, text in reading.texts.items():
        assert text in came or text == "I would rather not.", at
    assert sum(len(text) for text in reading.texts.values()) <= sum(run.upto.values()) + len("I would rather not.")


def stay(run: Any, channel: Channel, upto: int | None) -> int | None:
    """What has left does not come back."""
    return None if upto is None else max(upto, run.upto.get(channel, 0))


class Reading2(Reading):
    """A reading that lets a text's end say more than its deltas did."""

    def _take(self, data: Json) -> None:
        if data["type"] == "response.output_text.done":
            at = (0, "response.output_text", 0, None)
            assert data["text"].startswith(self.texts.get(at, ""))
            self.texts[at] = data["text"]
        else:
            super()._take(data)


def test_reasoning_that_was_stopped_leaves_without_its_seal() -> None:
    item = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "c2VhbGVk", "status": "in_progress"}
    shape = DIALECT.stream(BODY, "filter")
    for event in numbered([{"type": "response.output_item.added", "output_index": 0, "item": item}]):
        shape.texts(event)
        shape.settled(event, {})
    left = [shape.settled(event, {}) for event in shape.stopped(0, Ruling(Action.BLOCK, text="No."))]
    [ended] = [event.data["item"] for event in left if event.data and event.data.get("output_index") == 0]
    assert (ended["encrypted_content"], ended["status"]) == (None, "incomplete")
