"""JSON of any shape: read, or refused with the dialect's own error, and never anything else."""

from __future__ import annotations

import contextlib
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.guarding.rulings import Ruling
from guard.window.outcomes import Channel
from rules.schema import Action
from server.dialects.base import BadRequest
from server.dialects.messages import DIALECT
from server.dialects.messages.blocks import CALLS, OTHERS, RESULTS
from server.upstreams.base import Event

WORDS = (
    "type text thinking input name content source data title context citations cited_text tool_use_id id signature "
    "index delta partial_json message content_block stop_reason usage role system tools messages stream"
).split()
KINDS = sorted(
    {"text", "thinking", "redacted_thinking", "base64", "url", "hologram", *CALLS, *RESULTS, *OTHERS}
    | {"message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "ping"}
    | {"text_delta", "thinking_delta", "input_json_delta", "citations_delta", "signature_delta"}
)
LEAF = st.none() | st.booleans() | st.integers(-1, 3) | st.text(max_size=5) | st.sampled_from(KINDS)
ANY = st.recursive(
    LEAF,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3),
    max_leaves=6,
)
LOOSE = st.dictionaries(st.sampled_from(WORDS), ANY, max_size=3)
BLOCK = st.builds(lambda kind, rest: {**rest, "type": kind}, st.sampled_from(KINDS) | ANY, LOOSE)
BLOCKS = st.lists(BLOCK, max_size=3)
MESSAGE = st.builds(
    lambda role, content: {"role": role, "content": content},
    st.sampled_from(("user", "assistant", "system")),
    BLOCKS | st.text(max_size=5) | ANY,
)
BODY = st.builds(lambda rest, messages: {**rest, "messages": messages}, LOOSE, st.lists(MESSAGE, max_size=2) | ANY)
EVENT = st.builds(
    lambda kind, index, part, loose: {**loose, "type": kind, "index": index, "delta": part, "content_block": part},
    st.sampled_from(KINDS) | ANY,
    st.integers(0, 2) | ANY,
    BLOCK | ANY,
    LOOSE,
)


FEW = settings(max_examples=60, deadline=None)


@FEW
@given(body=BODY)
def test_any_request_is_read_or_refused(body: dict[str, Any]) -> None:
    with contextlib.suppress(BadRequest):
        incoming = DIALECT.read(body)
        assert all(isinstance(message.content, str) for message in incoming.messages)


def places(body: dict[str, Any]) -> dict[tuple[int, Channel], str]:
    found: dict[tuple[int, Channel], str] = {}
    for index, message in enumerate(DIALECT.read(body).messages):
        if message.content:
            found[index, Channel("text")] = message.content
        if message.reasoning:
            found[index, Channel("reasoning")] = message.reasoning
        for call, text in enumerate(message.tool_calls):
            found[index, Channel("tool", call)] = text
    return found


@FEW
@given(body=BODY, data=st.data())
def test_a_request_that_is_edited_reads_as_it_was_edited(body: dict[str, Any], data: st.DataObject) -> None:
    try:
        found = places(body)
    except BadRequest:
        return
    before = orjson.dumps(body)
    assert DIALECT.edited(body, found) == body
    texts = [place for place in found if place[1].kind == "text"]
    if texts:
        place = data.draw(st.sampled_from(texts))
        lines = found[place].split("\n")
        lines[data.draw(st.integers(0, len(lines) - 1))] = "[redacted]"
        text = data.draw(st.sampled_from(["\n".join(lines), "[withheld]"]))
        changed = DIALECT.edited(body, {place: text})
        seen = "\n".join(message.content for message in DIALECT.read(changed).messages)
        # A mask in place of a member's name or an id is none of the texts, and stands there all the same.
        assert text.strip("\n") in seen or b"[redacted]" in orjson.dumps(changed) or found[place] not in seen
    assert orjson.dumps(body) == before


@FEW
@given(content=BLOCKS | ANY, rest=LOOSE)
def test_any_answer_is_read_or_refused_and_can_be_redacted(content: Any, rest: dict[str, Any]) -> None:
    response = {**rest, "type": "message", "content": content}
    try:
        (answer,) = DIALECT.answers(response)
    except ValueError:
        return
    edits = {
        channel: orjson.dumps({"a": "[redacted]"}).decode() if channel.kind == "tool" else "[redacted]"
        for channel in answer.texts
    }
    ruled = DIALECT.ruled(response, [Ruling(Action.REDACT, edits=edits)], "filter")
    (seen,) = DIALECT.answers(ruled)
    assert all(text.strip("\n") in ("[redacted]", '{"a":"[redacted]"}', "") for text in seen.texts.values())
    assert DIALECT.answers(response) == [answer]


@FEW
@given(events=st.lists(EVENT, max_size=4))
def test_any_event_is_read_or_refused_and_can_be_cut(events: list[dict[str, Any]]) -> None:
    shape = DIALECT.stream({"model": "claude"}, "filter")
    for data in events:
        event = Event(b"", data, str(data["type"]))
        shape.unscannable(event)
        try:
            deltas = shape.texts(event)
        except ValueError:
            continue
        cut = shape.cut(event, {(0, channel): "" for _, channel, _ in deltas}, first=True, last=True)
        for left in (event, cut):
            if left is not None:
                shape.settled(left, {})
    shape.stopped(0, Ruling(Action.BLOCK, text="No."))
