"""Streams: what each chunk adds, and how chunks are cut, masked, stopped and made."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.guarding.incoming import Unscannable
from guard.guarding.rulings import Ruling
from guard.window.outcomes import Channel, Released
from rules.schema import Action
from server.dialects._events import DONE, event
from server.dialects.base import Fault
from server.dialects.chat_completions import DIALECT
from server.dialects.chat_completions.fields import LEGACY_CALL, OTHER, SPOKEN, TOKENS, name_of
from server.proxy.queue import EventQueue
from server.upstreams.base import Event

TEXT, REFUSAL, REASONING = Channel(), Channel("refusal"), Channel("reasoning")
BODY: dict[str, Any] = {"model": "asked-for", "messages": [], "tools": [{"function": {"name": "weather"}}]}
MASK = "[redacted]"

Key = tuple[int, Channel]


def opened(body: dict[str, Any] | None = None, ending: Any = "filter") -> Any:
    return DIALECT.stream(body or BODY, ending)


def called(index: int, arguments: str | None = None, **more: Any) -> dict[str, Any]:
    function = more.pop("function", {})
    if arguments is not None:
        function = {**function, "arguments": arguments}
    return {"index": index, **more, "function": function}


def texts_of(events: list[Event], body: dict[str, Any] | None = None) -> dict[Key, str]:
    """What a client reads."""
    shape, told = opened(body), dict[Key, str]()
    for each in events:
        for choice, channel, text in shape.texts(each):
            told[choice, channel] = told.get((choice, channel), "") + text
    return told


@pytest.fixture(scope="module")
def long_stream(shapes: Any) -> list[Event]:
    """Two choices, one of them calling two tools at once, and the usage at the end."""
    chunk = shapes.chunk
    return [
        chunk({"role": "assistant", "content": "", "refusal": None}),
        chunk({"role": "assistant", "content": ""}, index=1),
        chunk({"reasoning_content": "Let me "}),
        chunk({"reasoning_content": "think."}),
        chunk({"content": "It rains "}),
        chunk({"content": "Es regnet "}, index=1),
        chunk({"content": "in Ulm, they say."}),
        chunk({"tool_calls": [called(0, "", id="call_1", type="function", function={"name": "weather"})]}),
        chunk({"tool_calls": [called(0, '{"city": '), called(1, '{"ci', id="call_2", function={"name": "other"})]}),
        chunk({"tool_calls": [called(0, '"Ulm"}'), called(1, 'ty": "Bonn"}')]}),
        shapes.chunk_of(
            [
                {"index": 0, "delta": {"refusal": "I will not."}, "finish_reason": None},
                {"index": 1, "delta": {"content": "in Bonn."}, "finish_reason": "length"},
            ]
        ),
        chunk({}, finish="tool_calls"),
        shapes.chunk_of([], usage={"total_tokens": 7}),
        DONE,
    ]


def test_a_plain_chunk_adds_its_text(shapes: Any) -> None:
    shape = opened()
    assert shape.texts(shapes.chunk({"role": "assistant", "content": ""})) == []
    assert shape.texts(shapes.chunk({"content": "hello"})) == [(0, TEXT, "hello")]
    assert shape.texts(shapes.chunk({"role": "assistant", "content": "again"})) == [(0, TEXT, "again")]
    assert shape.texts(shapes.chunk({"content": None}, finish="stop")) == []
    assert shape.texts(shapes.chunk_of([], usage={"total_tokens": 1})) == []
    assert shape.texts(DONE) == []
    assert shape.texts(Event(b": ping\n\n", None, kind="comment")) == []


def test_each_text_of_a_chunk_has_its_channel(shapes: Any) -> None:
    delta = {
        "content": "said",
        "refusal": "refused",
        "reasoning_content": "thought",
        "reasoning": "thought too",
        "tool_calls": [called(3, "{", id="call_1", function={"name": "other"}), called(4, "}")],
        "function_call": {"name": "weather", "arguments": "{}"},
        "audio": {"transcript": "spoken"},
    }
    assert opened().texts(shapes.chunk(delta, index=2)) == [
        (2, TEXT, "said"),
        (2, REFUSAL, "refused"),
        (2, REASONING, "thought"),
        (2, Channel("reasoning", 1), "thought too"),
        (2, name_of(3), "other"),
        (2, Channel("tool", 3), "{"),
        (2, Channel("tool", 4), "}"),
        (2, Channel("tool", LEGACY_CALL), "{}"),
        (2, SPOKEN, "spoken"),
    ]


def test_the_name_of_a_tool_that_the_client_defined_is_no_text(shapes: Any) -> None:
    opening = shapes.chunk({"tool_calls": [called(0, "", id="call_1", function={"name": "weather"})]})
    assert opened().texts(opening) == []
    assert opened({"model": "m"}).texts(opening) == [(0, name_of(0), "weather")]


def test_unknown_members_each_have_a_channel_of_their_own(shapes: Any) -> None:
    shape = opened()
    first = shape.texts(shapes.chunk({"content": "a", "aside": "bo", "other": "x"}))
    second = shape.texts(shapes.chunk({"content": "b", "aside": "mb", "other": "y"}))
    said: dict[Channel, str] = {}
    for _, channel, text in first + second:
        said[channel] = said.get(channel, "") + text
    assert said == {TEXT: "ab", OTHER: "bomb", Channel("aside", OTHER.index + 1): "xy"}


@pytest.mark.parametrize(
    "make",
    [
        lambda shapes: shapes.chunk({"content": "a"}, message={"content": "and this"}),
        lambda shapes: shapes.chunk({"content": "a", "and this": 1}),
        lambda shapes: shapes.chunk_of([{"index": 0, "delta": {"content": "a"}}], citations=["and this"]),
        lambda shapes: shapes.chunk_of([], aside={"deep": "and this"}),
        lambda shapes: shapes.chunk({"role": "and this"}),
        lambda shapes: shapes.chunk({"content": [{"type": "text", "text": "and this"}]}),
        lambda shapes: shapes.chunk({"content": {"deep": "and this"}}),
        lambda shapes: shapes.chunk({"tool_calls": [{"index": 0, "id": "and this"}]}),
        lambda shapes: shapes.chunk({"content": "a"}, logprobs={"content": [{"token": "and this"}]}),
    ],
    ids=["message", "member", "around", "no-choices", "role", "parts", "object", "call-id", "logprobs"],
)
def test_a_text_that_nobody_knows_is_seen_wherever_it_stands(shapes: Any, make: Any) -> None:
    shape = opened()
    shape.texts(shapes.chunk({"role": "assistant", "content": ""}))
    assert "and this" in [text for _, _, text in shape.texts(make(shapes))]


def test_what_providers_are_known_to_add_holds_no_stream_up(shapes: Any) -> None:
    shape = opened()
    azure = shapes.chunk_of(
        [{"index": 0, "delta": {"content": "a"}, "content_filter_results": {"hate": {"severity": "safe"}}}],
        prompt_filter_results=[{"content_filter_results": {"hate": {"severity": "safe"}}}],
    )
    groq = shapes.chunk_of([{"index": 0, "delta": {"content": "b"}}], x_groq={"id": "req_1"})
    together = shapes.chunk_of([{"index": 0, "role": "assistant", "delta": {"content": "c", "token_id": 7}}])
    openai = shapes.chunk_of([{"index": 0, "delta": {"content": "d"}}], obfuscation="x7Qa", service_tier="default")
    told = [shape.texts(each) for each in (azure, groq, together, openai)]
    assert told == [[(0, TEXT, text)] for text in "abcd"]


def test_sounds_and_objects_that_are_no_chunk_cannot_be_scanned(shapes: Any) -> None:
    shape = opened()
    assert shape.unscannable(shapes.chunk({"content": "a"})) is None
    sound = shapes.chunk({"audio": {"data": "AAAA"}})
    assert shape.unscannable(sound) == Unscannable("choices[0].delta.audio", "audio")
    strange = event({"object": "hologram", "light": "red"})
    assert shape.unscannable(strange) == Unscannable("event", "hologram")
    assert shape.texts(strange) == []


@pytest.mark.parametrize(
    "data",
    [
        {"error": {"message": "it failed"}},
        {"choices": ["a"]},
        {"choices": [{"index": "a", "delta": {}}]},
        {"choices": [{"index": -1, "delta": {"content": "a"}}]},
        {"choices": [{"index": 0, "delta": "a"}]},
        {"choices": [{"index": 0, "delta": {"tool_calls": "a"}}]},
        {"choices": [{"index": 0, "delta": {}, "logprobs": "a"}]},
    ],
)
def test_what_is_no_chunk_of_this_api_is_told(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        opened().texts(event(data))


def test_an_event_that_is_no_object_is_told() -> None:
    with pytest.raises(ValueError, match="without a JSON object"):
        opened().texts(Event(b"data: [1]\n\n", None))


def test_a_cut_chunk_keeps_its_beginning_and_its_end_where_they_belong(shapes: Any) -> None:
    shape = opened()
    whole = shapes.chunk(
        {"role": "assistant", "content": "hello you"}, finish="stop", logprobs=shapes.tokens("hello you")
    )
    before = copy.deepcopy(whole.data)
    first = shape.cut(whole, {(0, TEXT): "hello"}, first=True, last=False)
    middle = shape.cut(whole, {(0, TEXT): " y"}, first=False, last=False)
    last = shape.cut(whole, {(0, TEXT): "ou"}, first=False, last=True)
    assert whole.data == before
    assert [each.data["choices"] for each in (first, middle, last)] == [
        [{"index": 0, "delta": {"role": "assistant", "content": "hello"}, "logprobs": None, "finish_reason": None}],
        [{"index": 0, "delta": {"content": " y"}, "logprobs": None, "finish_reason": None}],
        [{"index": 0, "delta": {"content": "ou"}, "logprobs": None, "finish_reason": "stop"}],
    ]
    assert orjson.loads(first.raw.removeprefix(b"data: ")) == first.data
    assert {each.data["id"] for each in (first, middle, last)} == {"chatcmpl-1"}
    assert shape.cut(whole, {(0, TEXT): "hello you"}, first=True, last=True) is whole


def test_a_cut_chunk_with_nothing_left_is_none(shapes: Any) -> None:
    shape = opened()
    assert shape.cut(shapes.chunk({"content": "a"}), {}, first=True, last=True) is None
    assert shape.cut(shapes.chunk({"content": "a"}), {}, first=False, last=False) is None
    kept = shape.cut(shapes.chunk({"role": "assistant", "content": "a"}), {}, first=True, last=False)
    assert kept.data["choices"][0]["delta"] == {"role": "assistant"}
    ended = shape.cut(shapes.chunk({"content": "a"}, finish="stop"), {}, first=False, last=True)
    assert ended.data["choices"][0]["finish_reason"] == "stop"


def test_a_mask_takes_log_probabilities_and_token_ids_with_it(shapes: Any) -> None:
    came = shapes.chunk({"content": "secret"}, logprobs=shapes.tokens("secret"), token_ids=[1, 2])
    made = opened().cut(came, {(0, TEXT): MASK}, first=True, last=True)
    assert b"secret" not in made.raw
    assert made.data["choices"][0]["token_ids"] is None


def test_log_probabilities_of_something_else_are_judged_and_never_written_back(shapes: Any) -> None:
    shape = opened()
    came = shapes.chunk({"content": "a"}, logprobs=shapes.tokens("secret"))
    assert shape.texts(came) == [(0, TEXT, "a"), (0, TOKENS, "secret")]
    made = shape.cut(came, {(0, TEXT): "a", (0, TOKENS): MASK}, first=True, last=True)
    assert made.data["choices"] == [{"index": 0, "delta": {"content": "a"}, "logprobs": None, "finish_reason": None}]


def test_a_call_is_cut_with_its_id_in_the_first_piece_alone(shapes: Any) -> None:
    came = shapes.chunk(
        {"tool_calls": [called(1, '{"a": "secret"}', id="call_1", type="function", function={"name": "weather"})]}
    )
    shape = opened()
    first = shape.cut(came, {(0, Channel("tool", 1)): '{"a": '}, first=True, last=False)
    second = shape.cut(came, {(0, Channel("tool", 1)): '"[x]"}'}, first=False, last=True)
    assert first.data["choices"][0]["delta"]["tool_calls"] == [
        called(1, '{"a": ', id="call_1", type="function", function={"name": "weather"})
    ]
    assert second.data["choices"][0]["delta"]["tool_calls"] == [called(1, '"[x]"}')]


def test_a_stopped_choice_is_taken_out_of_chunks_it_shares(shapes: Any) -> None:
    shape = opened()
    both = shapes.chunk_of(
        [
            {"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"},
            {"index": 1, "delta": {"content": "b"}, "finish_reason": None},
        ],
        citations=["of the first"],
    )
    left = shape.without(both, {0})
    assert [choice["index"] for choice in left.data["choices"]] == [1]
    assert "citations" not in left.data
    assert "citations" in shape.without(both, {1}).data
    assert shape.without(both, {0, 1}) is None
    assert shape.without(both, {2}) is both
    assert shape.without(DONE, {0}) is DONE
    usage = shapes.chunk_of([], usage={"total_tokens": 1})
    assert shape.without(usage, {0}) is usage


@pytest.mark.parametrize(
    ("action", "ending", "delta", "finish"),
    [
        (Action.BLOCK, "filter", {"content": "no"}, "content_filter"),
        (Action.BLOCK, "refusal", {"refusal": "no"}, "stop"),
        (Action.REVISE, "filter", {"content": "no"}, "stop"),
        (Action.REVISE, "refusal", {"content": "no"}, "stop"),
    ],
)
def test_a_stopped_choice_ends_as_the_api_ends_one(
    shapes: Any, action: Action, ending: Any, delta: dict[str, Any], finish: str
) -> None:
    shape = opened(ending=ending)
    shape.texts(shapes.chunk({"role": "assistant", "content": ""}))
    said, ended = shape.stopped(0, Ruling(action, text="no"))
    assert said.data == {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}],
    }
    assert ended.data["choices"] == [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": finish}]
    assert shape.ended() == [DONE]


def test_a_reply_that_is_set_off_from_what_has_left_is_not_in_the_refusal() -> None:
    ruling = Ruling(Action.BLOCK, text="\n\nno")
    assert opened(ending="filter").stopped(0, ruling)[0].data["choices"][0]["delta"] == {"content": "\n\nno"}
    assert opened(ending="refusal").stopped(0, ruling)[0].data["choices"][0]["delta"] == {"refusal": "no"}


def test_a_choice_that_is_stopped_before_its_role_has_left_gets_one() -> None:
    first, *_ = opened().stopped(1, Ruling(Action.BLOCK, text="no"))
    assert first.data["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert first.data["model"] == "asked-for"
    assert first.data["id"].startswith("chatcmpl-")


@pytest.mark.parametrize(("text", "left"), [("\n\nno", True), ("no", False)])
def test_a_role_that_came_along_with_a_text_is_told_once(shapes: Any, text: str, left: bool) -> None:
    shape = opened()
    shape.texts(shapes.chunk({"role": "assistant", "content": "a"}))
    told = [each.data["choices"][0]["delta"] for each in shape.stopped(0, Ruling(Action.BLOCK, text=text))]
    assert [delta for delta in told if "role" in delta] == ([] if left else [{"role": "assistant", "content": ""}])


def test_the_choices_are_those_asked_for_or_more_if_more_come(shapes: Any) -> None:
    shape = opened({"model": "m", "n": 2})
    assert shape.choices() == 2
    shape.texts(shapes.chunk({"content": "a"}, index=4))
    assert shape.choices() == 5
    assert opened({"model": "m", "n": "many"}).choices() == 1


def test_an_error_in_a_stream_is_told_and_ends_it() -> None:
    told, end = opened().fault(Fault(502, "upstream", "it broke off"))
    assert told.data["error"]["message"] == "it broke off"
    assert end is DONE


def test_the_note_stands_in_the_last_chunk(shapes: Any) -> None:
    noted = opened().noted(shapes.chunk({}, finish="stop"), {"decision": "d_1"})
    assert noted.data["wardlaw"] == {"decision": "d_1"}
    assert orjson.loads(noted.raw.removeprefix(b"data: ")) == noted.data


def test_a_whole_answer_is_told_as_a_stream_that_says_the_same(shapes: Any) -> None:
    message = {
        "reasoning_content": "thought",
        "content": "said",
        "refusal": None,
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }
    response = shapes.answered(message, {"content": "other"}, finish="tool_calls", citations=["a page"])
    response["choices"][0]["logprobs"] = shapes.tokens("said")
    body = {"model": "m", "stream_options": {"include_usage": True}}
    events = opened(body).whole(response)
    told = texts_of(events, body)
    of_whole = {
        (place, channel): text
        for place, answer in enumerate(DIALECT.answers(response))
        for channel, text in answer.texts.items()
        if channel.kind != "aside"
    }
    assert {key: text for key, text in told.items() if text != "a page"} == of_whole
    assert "a page" in told.values()
    assert events[-1] is DONE
    assert events[-2].data["usage"] == response["usage"]
    assert events[-2].data["choices"] == []
    assert [each.data["usage"] for each in events[:-2]] == [None] * (len(events) - 2)
    assert sum("logprobs" in each.raw.decode() and b'"token"' in each.raw for each in events) == 1
    without = opened({"model": "m"}).whole(response)
    assert not any("usage" in (each.data or {}) for each in without)


def let_out(
    events: list[Event], borders: list[int], hide: str = "", stop: tuple[int, int] | None = None
) -> list[Event]:
    """The events as they leave by the proxy's own queue.

    Args:
        events: of the stream.
        borders: up to which each text is released, one after another.
        hide: what is masked.
        stop: a choice that is stopped, and after how many events.
    """
    shape = opened()
    queue = EventQueue(shape, keep=True)
    came: dict[Key, str] = {}
    upto: dict[Key, int] = {}
    left: list[Event] = []

    def release(key: Key, end: int) -> None:
        start, text, spans, at = upto.get(key, 0), came[key], [], -1
        while hide and (at := text.find(hide, at + 1)) >= 0:
            low, high = max(at, start), min(at + len(hide), end)
            if low < high:
                spans.append((low, high))
        said, at = "", start
        for low, high in spans:
            said += text[at:low] + (MASK if text.startswith(hide, low) else "")
            at = high
        queue.release(*key, Released(said + text[at:end], (start, end), tuple(spans)), MASK)
        upto[key] = end
        left.extend(queue.ready())

    for count, each in enumerate(events):
        deltas = shape.texts(each)
        queue.push(each, deltas)
        for choice, channel, text in deltas:
            if choice not in queue.stopped:
                came[choice, channel] = came.get((choice, channel), "") + text
        if stop is not None and count == stop[1]:
            queue.stop(stop[0], {channel: end for (choice, channel), end in upto.items() if choice == stop[0]})
            left.extend(queue.ready())
            queue.add(shape.stopped(stop[0], Ruling(Action.BLOCK, text="no")))
            came = {key: text for key, text in came.items() if key[0] != stop[0]}
        for key in came:
            for border in borders:
                if upto.get(key, 0) < border <= len(came[key]) - len(hide):
                    release(key, border)
    for key, text in came.items():
        release(key, len(text))
    left.extend(queue.rest())
    return left


BORDERS = st.lists(st.integers(0, 40), max_size=8).map(sorted)


@given(BORDERS)
def test_a_stream_released_anywhere_loses_nothing(long_stream: list[Event], borders: list[int]) -> None:
    left = let_out(long_stream, borders)
    assert texts_of(left) == texts_of(long_stream)
    assert left[-1] is DONE
    for each in left:
        if each.data is not None:
            assert orjson.loads(each.raw.removeprefix(b"data: ")) == each.data
    finishes = [
        (choice["index"], choice["finish_reason"])
        for each in left
        for choice in (each.data or {}).get("choices", ())
        if choice["finish_reason"] is not None
    ]
    assert finishes == [(1, "length"), (0, "tool_calls")]
    ids = [call["id"] for call in calls(left) if "id" in call]
    assert ids == ["call_1", "call_2"]


def calls(events: list[Event]) -> list[dict[str, Any]]:
    return [
        call
        for each in events
        for choice in (each.data or {}).get("choices", ())
        for call in choice["delta"].get("tool_calls", ())
    ]


def test_what_leaves_untouched_leaves_as_the_very_bytes_that_came(long_stream: list[Event]) -> None:
    assert [each.raw for each in let_out(long_stream, [])] == [each.raw for each in long_stream]


@given(BORDERS)
@pytest.mark.parametrize("hide", ["rains in", "Ulm", "think", '"Bonn"', "in Bonn", "not"])
def test_redacted_text_is_masked_wherever_the_stream_is_cut(
    hide: str, long_stream: list[Event], borders: list[int]
) -> None:
    told = texts_of(let_out(long_stream, borders, hide))
    assert told == {key: text.replace(hide, MASK) for key, text in texts_of(long_stream).items()}


@given(BORDERS, st.integers(0, 11), st.integers(0, 1))
def test_a_stopped_choice_says_no_more_and_the_other_loses_nothing(
    long_stream: list[Event], borders: list[int], after: int, which: int
) -> None:
    left = let_out(long_stream, borders, stop=(which, after))
    told, came = texts_of(left), texts_of(long_stream)
    other = 1 - which
    assert {key: text for key, text in told.items() if key[0] == other} == {
        key: text for key, text in came.items() if key[0] == other
    }
    for key, text in told.items():
        if key[0] == which:
            assert came.get(key, "").startswith(text.removesuffix("no"))
    said = "".join(
        choice["delta"].get("content") or ""
        for each in left
        for choice in (each.data or {}).get("choices", ())
        if choice["index"] == which
    )
    assert said.endswith("no")
    last = [c for each in left for c in (each.data or {}).get("choices", ()) if c["index"] == which][-1]
    assert last["finish_reason"] == "content_filter"
