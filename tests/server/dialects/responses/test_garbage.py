"""What an upstream or a client may send though it should not: refused by name, and never a crash."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from guard.guarding.rulings import Ruling
from guard.window.outcomes import Channel
from rules.schema import Action
from server.dialects.base import BadRequest
from server.dialects.responses import DIALECT
from server.dialects.responses.events import told
from server.translating import responses_to_chat
from server.upstreams.base import Event

Golden = Callable[[str], list[Event]]
ODD: list[Any] = [None, 5, -1, "x", "a b", [], ["a"], {}, {"a": "b c"}, True, 1.5, [[]], {"type": []}, [None],
                  {"type": "message", "content": [5, {"type": ["x"], "text": ["deep text"]}]}]  # fmt: skip


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    for name, each in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*at, name)
        yield from places(each, (*at, name))


def spoiled(value: Any, chance: random.Random) -> Any:
    """A copy with one or two things wrong."""
    value = copy.deepcopy(value)
    for _ in range(chance.randint(1, 2)):
        *way, last = chance.choice(list(places(value)) or [(None,)])
        holder = value
        for step in way:
            holder = holder[step]
        if chance.random() < 0.7:
            holder[last] = copy.deepcopy(chance.choice(ODD))
        else:
            del holder[last]
    return value


def masked(text: str) -> str:
    return text.replace("a", "#")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ["tools", "search"])
def test_spoiled_streams_are_read_or_refused(golden: Golden, seed: int, name: str) -> None:
    chance = random.Random(seed)
    events = golden(name)
    refused = 0
    for _ in range(40):
        shape = DIALECT.stream({}, "filter")
        try:
            for event in events:
                if chance.random() < 0.08:
                    event = told(spoiled(event.data, chance))
                shape.unscannable(event)
                texts: dict[tuple[int, Channel], str] = {}
                for choice, channel, text in shape.texts(event):
                    texts[choice, channel] = texts.get((choice, channel), "") + masked(text)
                cut = shape.cut(event, texts, first=True, last=True) if texts else event
                if cut is not None:
                    shape.settled(cut, {})
        except ValueError:
            refused += 1
        for event in shape.stopped(0, Ruling(Action.BLOCK, text="no")):
            shape.settled(event, {})
    assert refused < 40


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ["tools", "search"])
def test_spoiled_answers_are_read_or_refused(golden: Golden, seed: int, name: str) -> None:
    chance = random.Random(seed)
    whole = (golden(name)[-1].data or {})["response"]
    read = 0
    for _ in range(60):
        response = spoiled(whole, chance)
        try:
            (answer,) = DIALECT.answers(response)
        except ValueError:
            continue
        read += 1
        edits = {channel: masked(text) for channel, text in answer.texts.items()}
        ruled = DIALECT.ruled(response, [Ruling(Action.REDACT, edits=edits)], "filter")
        assert not any("a" in text for text in DIALECT.answers(ruled)[0].texts.values())
        assert DIALECT.stream({}, "filter").whole(ruled)
        assert DIALECT.ruled(response, [Ruling(Action.BLOCK, text="no")], "filter")["status"] == "incomplete"
    assert read


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ["tools", "search"])
def test_spoiled_requests_are_read_or_refused(golden: Golden, seed: int, name: str) -> None:
    chance = random.Random(seed)
    whole = (golden(name)[-1].data or {})["response"]
    body = {"model": "m", "input": whole["output"], "instructions": "i", "tools": whole["tools"], "text": whole["text"],
            "prompt": {"id": "p", "variables": {"a": "b"}}}  # fmt: skip
    read = 0
    for _ in range(60):
        asked = spoiled(body, chance)
        try:
            messages = DIALECT.read(asked).messages
        except BadRequest as refused:
            assert refused.where
            continue
        read += 1
        edits = {(place, Channel("text")): masked(message.content) for place, message in enumerate(messages)}
        again = DIALECT.read(DIALECT.edited(asked, edits)).messages
        assert not any("a" in message.content for message in again)
        try:
            responses_to_chat.request({**asked, "prompt": None})
        except ValueError as untranslatable:
            assert ":" in str(untranslatable)
    assert read
