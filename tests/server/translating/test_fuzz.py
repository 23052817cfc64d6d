"""JSON of any shape: translated, or refused with a ValueError, and never anything else."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.translating import chat_to_messages, messages_to_chat
from server.upstreams.base import Event

WORDS = (
    "type text thinking input name content source data title tool_use_id id index delta partial_json message role "
    "system tools messages stop_reason usage choices finish_reason tool_calls function arguments image_url url file "
    "file_data reasoning_content refusal prompt_tokens completion_tokens_details content_block tool_choice metadata"
).split()
KINDS = (
    "text thinking redacted_thinking tool_use tool_result image document base64 url function refusal image_url file "
    "message_start content_block_start content_block_delta content_block_stop message_delta message_stop ping error "
    "text_delta thinking_delta input_json_delta assistant user system tool developer stop length"
).split()
LEAF = st.none() | st.booleans() | st.integers(-1, 3) | st.text(max_size=4) | st.sampled_from(KINDS)
ANY = st.recursive(
    LEAF,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3),
    max_leaves=5,
)
LOOSE = st.dictionaries(st.sampled_from(WORDS), ANY, max_size=4)
PART = st.builds(lambda kind, rest: {**rest, "type": kind}, st.sampled_from(KINDS) | ANY, LOOSE)
TURN = st.builds(
    lambda role, content, rest: {**rest, "role": role, "content": content},
    st.sampled_from(("user", "assistant", "system", "tool")) | ANY,
    st.lists(PART, max_size=3) | st.text(max_size=4) | ANY,
    LOOSE,
)
BODY = st.builds(lambda rest, turns: {**rest, "messages": turns}, LOOSE, st.lists(TURN, max_size=3) | ANY)
CHOICE = st.builds(lambda rest, turn: {**rest, "message": turn, "delta": turn}, LOOSE, TURN | ANY)
DATA = st.builds(
    lambda rest, kind, choices, content, index, part: {
        **rest,
        "type": kind,
        "choices": choices,
        "content": content,
        "index": index,
        "delta": part,
        "content_block": part,
    },
    LOOSE,
    st.sampled_from(KINDS) | ANY,
    st.lists(CHOICE, max_size=2) | ANY,
    st.lists(PART, max_size=3) | ANY,
    st.integers(0, 2) | ANY,
    PART | ANY,
)
FEW = settings(max_examples=50, deadline=None)


@FEW
@given(body=BODY)
@pytest.mark.parametrize("module", [messages_to_chat, chat_to_messages])
def test_any_request_is_translated_or_refused(module: Any, body: dict[str, Any]) -> None:
    with contextlib.suppress(ValueError):
        module.request(body)


@FEW
@given(data=DATA, asked=BODY)
@pytest.mark.parametrize("module", [messages_to_chat, chat_to_messages])
def test_any_answer_is_translated_or_refused(module: Any, data: dict[str, Any], asked: dict[str, Any]) -> None:
    with contextlib.suppress(ValueError):
        module.answer(data, asked)


@FEW
@given(events=st.lists(DATA, max_size=3), asked=BODY)
@pytest.mark.parametrize("module", [messages_to_chat, chat_to_messages])
def test_any_event_is_translated_or_refused(module: Any, events: list[dict[str, Any]], asked: dict[str, Any]) -> None:
    translation = module.Translation(asked)
    with contextlib.suppress(ValueError):
        for data in events:
            translation.feed(Event(b"", data, str(data["type"])))
        translation.close()
