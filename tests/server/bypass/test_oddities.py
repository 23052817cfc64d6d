"""Requests and answers that no client and no model should send: none of them is a way past the guard."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.server.bypass import asking
from tests.server.bypass.answering import ANSWERS, CLEAN, Said, chat, message_item, messages, output, responses, text
from tests.server.bypass.asking import HELLO, user
from tests.server.bypass.standing import (
    APIS,
    BEFORE,
    FILTERED,
    PHRASES,
    RULE_IDS,
    TELLING,
    UPSTREAMS,
    Stands,
    telling,
)

PHRASE = PHRASES[BEFORE]
ASKED = {
    "chat_completions": asking.chat(user(HELLO)),
    "messages": asking.messages(user(HELLO)),
    "responses": asking.responses(HELLO),
}
FORMS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
EACH_API = pytest.mark.parametrize("api", APIS)


def twice(api: str) -> bytes:
    """A body that names a member twice: first what is forbidden, then something else."""
    body = json.dumps(ASKED[api])
    member = '"input": ' if api == "responses" else '"content": '
    return body.replace(member, f'{member}"Please {PHRASE}.", {member}').encode()


BODIES: dict[str, dict[str, Any]] = {
    "a member named twice": {api: twice(api) for api in APIS},
    "a lone surrogate": {api: json.dumps(ASKED[api]).replace(HELLO, f"{PHRASE} \\ud800").encode() for api in APIS},
    "bytes that are no UTF-8": {api: json.dumps(ASKED[api]).replace(HELLO, PHRASE).encode() + b" \xff" for api in APIS},
    "UTF-16": {api: json.dumps(ASKED[api]).replace(HELLO, PHRASE).encode("utf-16") for api in APIS},
    "a role in capitals": {
        "chat_completions": asking.chat({"role": "USER", "content": PHRASE}, user(HELLO)),
        "messages": asking.messages({"role": "User", "content": PHRASE}, user(HELLO)),
        "responses": asking.responses([{"role": "USER", "content": PHRASE}, user(HELLO)]),
    },
    "a role that does not exist": {
        "chat_completions": asking.chat({"role": "critic", "content": PHRASE}, user(HELLO)),
        "messages": asking.messages({"role": "critic", "content": PHRASE}, user(HELLO)),
        "responses": asking.responses([{"role": "critic", "content": PHRASE}, user(HELLO)]),
    },
    "no role": {
        "chat_completions": asking.chat({"content": PHRASE}, user(HELLO)),
        "messages": asking.messages({"content": PHRASE}, user(HELLO)),
        "responses": asking.responses([{"type": "message", "content": PHRASE}, user(HELLO)]),
    },
    "an object as content": {
        "chat_completions": asking.chat(user({"text": PHRASE})),
        "messages": asking.messages(user({"text": PHRASE})),
        "responses": asking.responses({"text": PHRASE}),
    },
    "lists within lists as content": {
        "chat_completions": asking.chat(user([[text(PHRASE)]])),
        "messages": asking.messages(user([[text(PHRASE)]])),
        "responses": asking.responses([user([[{"type": "input_text", "text": PHRASE}]])]),
    },
    "a part of an unknown kind": {
        "chat_completions": asking.chat(user([{"type": "made_up", "says": PHRASE}])),
        "messages": asking.messages(user([{"type": "made_up", "says": PHRASE}])),
        "responses": asking.responses([user([{"type": "made_up", "says": PHRASE}])]),
    },
    "a part without a kind": {
        "chat_completions": asking.chat(user([{"text": PHRASE}])),
        "messages": asking.messages(user([{"text": PHRASE}])),
        "responses": asking.responses([user([{"text": PHRASE}])]),
    },
    "a text that is a list": {
        "chat_completions": asking.chat(user([{"type": "text", "text": [PHRASE]}])),
        "messages": asking.messages(user([{"type": "text", "text": [PHRASE]}])),
        "responses": asking.responses([user([{"type": "input_text", "text": [PHRASE]}])]),
    },
    "messages that are an object": {
        "chat_completions": {"model": "fake", "messages": {"0": user(PHRASE)}},
        "messages": {"model": "fake", "max_tokens": 9, "messages": {"0": user(PHRASE)}},
        "responses": {"model": "fake", "input": {"0": user(PHRASE)}},
    },
    "a stream asked for by a string": {
        api: {**json.loads(json.dumps(ASKED[api]).replace(HELLO, PHRASE)), "stream": "true"} for api in APIS
    },
    "an image": {
        "chat_completions": asking.chat(
            user([{"type": "image_url", "image_url": {"url": "data:image/png;base64,kraken"}}])
        ),
        "messages": asking.messages(
            user([{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "kraken"}}])
        ),
        "responses": asking.responses([user([{"type": "input_image", "image_url": "data:image/png;base64,kraken"}])]),
    },
    "a document": {
        "chat_completions": asking.chat(user([{"type": "file", "file": {"file_data": "kraken"}}])),
        "messages": asking.messages(
            user([{"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": PHRASE}}])
        ),
        "responses": asking.responses([user([{"type": "input_file", "file_data": "kraken"}])]),
    },
    "an image in a tool result": {
        "chat_completions": asking.chat(
            user(HELLO),
            {"role": "tool", "tool_call_id": "c", "content": [{"type": "image_url", "image_url": {"url": "kraken"}}]},
        ),
        "messages": asking.messages(
            user(
                [
                    {
                        "type": "tool_result",
                        "tool_use_id": "t",
                        "content": [{"type": "image", "source": {"type": "url", "url": "http://kraken"}}],
                    }
                ]
            )
        ),
        "responses": asking.responses(
            [
                user(HELLO),
                {
                    "type": "function_call_output",
                    "call_id": "c",
                    "output": [{"type": "input_image", "image_url": "http://kraken"}],
                },
            ]
        ),
    },
}


@pytest.mark.parametrize("upstream", list(UPSTREAMS))
@EACH_API
@pytest.mark.parametrize("oddity", list(BODIES))
def test_the_model_never_sees_it(stands: Stands, oddity: str, api: str, upstream: str) -> None:
    stand = stands(upstream)
    stand.fake.forget()
    got = stand.post(api, BODIES[oddity][api])
    assert stand.reached(*TELLING[BEFORE]) == []
    if stand.fake.seen():  # what is forbidden was not in it
        return
    assert got.status in (200, 400), got.raw
    if got.status == 200:
        assert FILTERED[api] in got.ending
        assert stand.decision(got)["action"] == "block"


@EACH_API
def test_numbers_and_nothing_as_content_harm_nobody(stands: Stands, api: str) -> None:
    stand = stands("native")
    for odd in (5, None, True, [], "", [5], [None]):
        stand.fake.forget()
        body = asking.responses(odd) if api == "responses" else {**ASKED[api], "messages": [user(odd)]}
        assert stand.post(api, body).status in (200, 400)


@FORMS
@EACH_API
def test_a_long_phrase_over_two_hundred_chunks_is_held_to_its_end(stands: Stands, api: str, stream: bool) -> None:
    stand = stands("native")
    said = f"A {PHRASE}".replace(" ", " " * 30)

    def cut(whole: str) -> list[str]:
        return [whole[place : place + 1] for place in range(len(whole))]

    answer = {
        "chat_completions": lambda: chat({"content": "x " * 60 + said}, cut=cut),
        "messages": lambda: messages(text("x " * 60 + said), cut=cut),
        "responses": lambda: responses(message_item(output("x " * 60 + said)), cut=cut),
    }[api]()
    assert len(answer.events) > 200
    stand.answers(answer, stream=stream)
    got = stand.ask(api, ASKED[api], stream=stream)
    assert telling(got, BEFORE) == []
    assert [rule["id"] for rule in stand.decision(got)["rules"]] == [RULE_IDS[BEFORE]]


@FORMS
@pytest.mark.parametrize("bad", [0, 1])
def test_of_two_choices_the_clean_one_goes_on(stands: Stands, bad: int, stream: bool) -> None:
    stand = stands("native")
    choices = [{"content": CLEAN}, {"content": CLEAN}]
    choices[bad] = {"content": f"First {PHRASE} at dusk."}
    stand.answers(chat(*choices), stream=stream)
    got = stand.ask("chat_completions", {**ASKED["chat_completions"], "n": 2}, stream=stream)
    assert telling(got, BEFORE) == []
    said = {0: "", 1: ""}
    ends = {}
    for each in got.parsed:
        for choice in each["choices"]:
            said[choice["index"]] += (choice.get("delta", choice.get("message")) or {}).get("content") or ""
            ends[choice["index"]] = choice["finish_reason"] or ends.get(choice["index"])
    assert said[1 - bad] == CLEAN
    assert ends == {bad: "content_filter", 1 - bad: "stop"}


@FORMS
@EACH_API
@pytest.mark.parametrize("status", [400, 401, 404, 422, 429, 500, 503])
def test_the_words_of_an_upstreams_error_are_scanned(stands: Stands, api: str, status: int, stream: bool) -> None:
    stand = stands("native")
    stand.fake.forget()
    stand.fake.script(f"e{status}", message=f"You have to {PHRASE} first")
    got = stand.ask(api, ASKED[api], stream=stream)
    assert got.status >= 400
    assert telling(got, BEFORE) == []


@EACH_API
def test_the_words_of_an_error_in_a_stream_are_not_told(stands: Stands, api: str) -> None:
    stand = stands("native")
    said = ANSWERS["text"][api]("row").events
    error = json.dumps({"type": "error", "error": {"type": "x", "message": f"You have to {PHRASE} first"}})
    stand.answers(Said("", (*said[:2], f"event: error\ndata: {error}\n\n")), stream=True)
    got = stand.ask(api, ASKED[api], stream=True)
    assert telling(got, BEFORE) == []


STRAY = {
    "a comment": ": {}\n\n",
    "the name of an event": 'event: {}\ndata: {{"choices": [], "type": "ping"}}\n\n',
    "the id of an event": 'id: {}\ndata: {{"choices": [], "type": "ping"}}\n\n',
    "an event of an unknown kind": 'event: made.up\ndata: {{"type": "made.up", "says": "{}"}}\n\n',
    "an event that is no JSON": "data: {}\n\n",
    "a member named twice": 'data: {{"choices": [], "type": "ping", "says": "{}", "says": ""}}\n\n',
}


@EACH_API
@pytest.mark.parametrize("stray", list(STRAY))
def test_nothing_of_a_stream_but_its_events_leaves(stands: Stands, stray: str, api: str) -> None:
    stand = stands("native")
    events = ANSWERS["text"][api]("row").events
    middle = len(events) // 2
    stand.answers(Said("", (*events[:middle], STRAY[stray].format(PHRASE), *events[middle:])), stream=True)
    got = stand.ask(api, ASKED[api], stream=True)
    assert telling(got, BEFORE) == [], got.raw.decode()


@EACH_API
def test_a_member_named_twice_in_an_answer_does_not_leave(stands: Stands, api: str) -> None:
    stand = stands("native")
    said = ANSWERS["text"][api]("row").raw
    member = '"content": ' if api == "chat_completions" else '"text": '
    stand.answers(Said(said.replace(f'{member}"', f'{member}"{PHRASE}", {member}"'), ()), stream=False)
    got = stand.ask(api, ASKED[api])
    assert telling(got, BEFORE) == [], got.raw.decode()


@EACH_API
def test_a_member_named_twice_in_an_event_does_not_leave(stands: Stands, api: str) -> None:
    stand = stands("native")
    said = ANSWERS["text"][api]("row").events
    member = {"chat_completions": '"content": ', "messages": '"text": ', "responses": '"delta": '}[api]
    twice = tuple(event.replace(f'{member}"', f'{member}"{PHRASE}", {member}"') for event in said)
    stand.answers(Said("", twice), stream=True)
    got = stand.ask(api, ASKED[api], stream=True)
    assert telling(got, BEFORE) == [], got.raw.decode()


PLACES = ("text", "refusal", "reasoning", "tool arguments", "a tool result", "log-probabilities", "annotations")

OF_THE_SERVER = frozenset("id object model role status finish_reason tool_choice item_id".split())
"""Members that the model's server writes and no model can: they leave as they came."""


@FORMS
@EACH_API
def test_wherever_a_string_of_an_answer_says_it_it_does_not_leave(stands: Stands, api: str, stream: bool) -> None:
    stand = stands("native")
    leaks = set()
    for place in PLACES:
        if api not in ANSWERS[place]:
            continue
        said = ANSWERS[place][api]("row")
        forms = (
            [json.loads(said.raw)]
            if not stream
            else [json.loads(e.partition("data: ")[2]) for e in said.events[:-1] if "data: {" in e]
        )
        for number, form in enumerate(forms):
            for path in paths(form):
                changed = json.loads(json.dumps(form))
                holder = changed
                for step in path[:-1]:
                    holder = holder[step]
                holder[path[-1]] = f"Now {PHRASE}."
                raw = json.dumps(changed)
                events = list(said.events)
                if stream:
                    places = [n for n, e in enumerate(events) if "data: {" in e]
                    events[places[number]] = (
                        f"event: {changed['type']}\ndata: {raw}\n\n" if "type" in changed else f"data: {raw}\n\n"
                    )
                stand.answers(Said(raw, tuple(events)), stream=stream)
                got = stand.post(api, {**ASKED[api], "stream": stream})
                if telling(got, BEFORE):
                    leaks.add(path[-1])
    assert leaks <= OF_THE_SERVER


def paths(value: Any, path: tuple = ()) -> list[tuple]:
    """The path of every string."""
    if isinstance(value, str):
        return [path]
    if isinstance(value, dict):
        return [each for name, inner in value.items() for each in paths(inner, (*path, name))]
    if isinstance(value, list):
        return [each for place, inner in enumerate(value) for each in paths(inner, (*path, place))]
    return []
