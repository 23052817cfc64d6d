"""Requests, answers and streams against what was read through once by a person."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import anthropic.types
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming
from pydantic import TypeAdapter

from server.translating import translators
from server.upstreams.base import Event

GOLDEN = Path(__file__).with_name("golden")
WAYS = {"messages_to_chat": ("messages", "chat_completions"), "chat_to_messages": ("chat_completions", "messages")}


def golden(way: str, what: str) -> tuple[Any, dict[str, Any]]:
    [module] = [one for one in translators() if WAYS[way] == (one.SOURCE, one.TARGET)]
    return module, json.loads((GOLDEN / f"{way}.{what}.json").read_text("utf-8"))


@pytest.mark.parametrize("way", WAYS)
def test_a_request_is_said_in_the_other_api(way: str) -> None:
    module, case = golden(way, "request")
    before = deepcopy(case["asked"])
    assert module.request(case["asked"]) == case["said"]
    assert case["asked"] == before


@pytest.mark.parametrize("way", WAYS)
def test_a_whole_answer_is_said_in_the_clients_api(way: str) -> None:
    module, case = golden(way, "answer")
    said = module.answer(case["answered"], case["asked"])
    (anthropic.types.Message if way == "messages_to_chat" else ChatCompletion).model_validate(said)
    said.pop("created", None)
    assert said == case["said"]


@pytest.mark.parametrize("way", WAYS)
def test_a_stream_is_said_in_the_clients_api_event_by_event(way: str) -> None:
    module, case = golden(way, "stream")
    translation = module.Translation(case["asked"])
    events = [out for data in case["events"] for out in translation.feed(Event(b"", data, data.get("type", "")))]
    events += translation.close()
    said = []
    for event in events:
        if event.data is None:
            said.append(event.kind)
            continue
        if way == "chat_to_messages":
            ChatCompletionChunk.model_validate(event.data)
        said.append({key: value for key, value in event.data.items() if key != "created"})
    assert said == case["said"]


def test_what_openais_own_types_ask_of_a_request_is_there() -> None:
    _, case = golden("messages_to_chat", "request")
    # a list that may be read once becomes one that tells whether it was read through
    told = TypeAdapter(CompletionCreateParamsStreaming).validate_python(case["said"])
    assert [message["role"] for message in told["messages"]] == [each["role"] for each in case["said"]["messages"]]


def test_each_way_has_one_translator() -> None:
    ways = [(one.SOURCE, one.TARGET) for one in translators()]
    assert sorted(ways) == [*sorted(WAYS.values()), ("responses", "chat_completions")]
