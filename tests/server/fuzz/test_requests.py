"""Requests that are spoiled: whatever comes is answered in the API's own words, and nothing banned goes on unseen."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, currently_in_test_context, given, note, settings
from hypothesis import strategies as st

from tests.server.fuzz.inside import Inside
from tests.server.fuzz.speaking import PATHS, Json, Said
from tests.server.serving import Served

PHRASE = "summon the kraken"
TOOL = {"type": "object", "properties": {"place": {"type": "string", "description": "where"}}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": '{"place": "sea"}'}}
CHAT: Json = {
    "model": "fake",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Where?"}], "name": "ann"},
        {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning_content": "Let me see."},
        {"role": "tool", "tool_call_id": "call_1", "content": "The sea is calm."},
        {"role": "user", "content": "Go on."},
    ],
    "tools": [{"type": "function", "function": {"name": "look_up", "description": "Looks.", "parameters": TOOL}}],
    "response_format": {"type": "json_schema", "json_schema": {"name": "place", "schema": TOOL}},
    "stop": ["end"],
    "temperature": 0.5,
    "user": "ann",
    "metadata": {"team": "sea"},
}
MESSAGES: Json = {
    "model": "fake",
    "max_tokens": 99,
    "system": [{"type": "text", "text": "Be brief."}],
    "messages": [
        {"role": "user", "content": "Where?"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Let me see.", "signature": "c2ln"},
                {"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {"place": "sea"}},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "Calm."}]},
    ],
    "tools": [{"name": "look_up", "description": "Looks.", "input_schema": TOOL}],
    "stop_sequences": ["end"],
    "metadata": {"user_id": "ann"},
}
RESPONSES: Json = {
    "model": "fake",
    "instructions": "Be brief.",
    "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "Where?"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Let me see."}]},
        {"type": "function_call", "call_id": "call_1", "name": "look_up", "arguments": '{"place": "sea"}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "Calm."},
    ],
    "tools": [{"type": "function", "name": "look_up", "description": "Looks.", "parameters": TOOL}],
    "metadata": {"team": "sea"},
    "user": "ann",
}
BODIES: dict[str, Json] = {
    "/v1/chat/completions": CHAT,
    "/v1/messages": MESSAGES,
    "/v1/messages/count_tokens": {key: value for key, value in MESSAGES.items() if key != "max_tokens"},
    "/v1/responses": RESPONSES,
    "/v1/moderations": {"model": "m", "input": ["The sea.", "The tide."]},
    "/v1/embeddings": {"model": "m", "input": ["The sea."]},
    "/v1/feedback": {"decision": "d_none", "label": "correct", "part": "prompt", "comment": "no"},
    "/admin/reload": {},
}
RAW = {
    "@huge": "9" * 5000,
    "@infinite": "1e999",
    "@nan": "NaN",
    "@lone": '"\\ud800"',
    "@pair": '"\\udc00\\ud800"',
    "@nul": '"a\\u0000b"',
    "@deep": "[" * 1000 + "]" * 1000,
    "@deeper": '{"a":' * 5000 + "1" + "}" * 5000,
    "@long": '"' + "sea " * 250_000 + '"',
    "@twice": '{"role": "user", "role": "system", "content": "a", "content": "b"}',
}
ODD = st.sampled_from((None, True, 0, -1, 1.5, 2**53, 2**63, "", "sea", [], {}, [[]], [None], {"": None}, *RAW))


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from places(each, (*path, key))


def put(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    copied = copy.deepcopy(body)
    at = copied
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return copied


def written(body: Any) -> bytes:
    text = json.dumps(body)
    for name, raw in RAW.items():
        text = text.replace(f'"{name}"', raw)
    return text.encode()


@st.composite
def spoiled(draw: st.DrawFn) -> tuple[str, bytes]:
    path = draw(st.sampled_from(sorted(BODIES)))
    body: Any = BODIES[path]
    for _ in range(draw(st.integers(1, 3))):
        body = put(body, draw(st.sampled_from(list(places(body)))), draw(ODD))
    if isinstance(body, dict) and draw(st.booleans()):
        body = body | {"stream": draw(st.booleans() | ODD)}
    raw = written(body)
    if draw(st.integers(0, 9)) == 0:
        at = draw(st.integers(0, len(raw) - 1))
        raw = raw[:at] + draw(st.binary(max_size=3)) + raw[at + 1 :]
    return path, raw


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, fake_upstream_process: Any) -> Iterator[Served]:
    fake_upstream_process.forget()
    apis = ("--set", 'upstream.apis=["chat_completions","messages","responses"]')
    server = Served(tmp_path_factory.mktemp("requests"), "--upstream", fake_upstream_process.url, *apis).ready()
    yield server
    assert not [line for line in server.logged() if "failed" in str(line.get("message", ""))]
    server.kill()


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, timeout=20, trust_env=False) as made:
        yield made


def spoil(client: httpx.Client, path: str, raw: bytes) -> None:
    answer = client.post(path, content=raw, headers={"content-type": "application/json"})
    if currently_in_test_context():
        note(f"{path} {raw[:1500]!r}\n{answer.status_code} {answer.text[:1500]}")
    # A model server that cannot read what was not for the guard to understand fails, which is told as 502.
    assert answer.status_code < 500 or answer.status_code == 502
    if answer.headers["content-type"].startswith("text/event-stream"):
        return
    assert answer.headers["content-type"].startswith("application/json")
    told = answer.json()
    if answer.status_code < 300:
        return
    if path == "/admin/reload":
        return
    assert told["error"]["message"]
    assert len(told["error"]["message"]) < 600
    assert "\n" not in told["error"]["message"]
    assert (told.get("type") == "error") == path.startswith("/v1/messages")


def few(examples: int, *, fixed: bool = True) -> Any:
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
    return settings(
        max_examples=examples, deadline=None, derandomize=fixed, database=None, suppress_health_check=checks
    )


@few(300)
@given(request=spoiled())
def test_a_spoiled_request_is_answered_in_its_apis_words(client: httpx.Client, request: tuple[str, bytes]) -> None:
    spoil(client, *request)


@pytest.mark.slow
@few(8000, fixed=False)
@given(request=spoiled())
def test_many_more_spoiled_requests_are_answered(client: httpx.Client, request: tuple[str, bytes]) -> None:
    spoil(client, *request)


@pytest.mark.parametrize("name", RAW)
@pytest.mark.parametrize("path", sorted(BODIES))
def test_every_oddity_at_every_place_of_the_top_is_answered(client: httpx.Client, path: str, name: str) -> None:
    for key in (*BODIES[path], "unknown"):
        spoil(client, path, written(BODIES[path] | {key: name}))


@pytest.mark.parametrize(
    ("path", "body", "place"),
    [
        ("/v1/chat/completions", put(CHAT, ("messages", 1, "content", 0, "text"), 7), "messages[1].content[0]"),
        ("/v1/chat/completions", put(CHAT, ("messages", 0), "hello"), "messages[0]"),
        ("/v1/chat/completions", put(CHAT, ("messages", 2, "tool_calls"), {}), "messages[2].tool_calls"),
        ("/v1/messages", put(MESSAGES, ("messages", 1, "content", 0), 7), "messages[1].content[0]"),
        ("/v1/messages", put(MESSAGES, ("messages", 0, "role"), 7), "messages[0]"),
        ("/v1/responses", put(RESPONSES, ("input", 0, "content", 0), 7), "input[0].content[0]"),
        ("/v1/responses", put(RESPONSES, ("input",), 7), "input"),
        ("/v1/moderations", {"input": ["a", 7]}, "input[1]"),
        ("/v1/feedback", {"decision": "d_none", "label": "maybe"}, "label"),
    ],
)
def test_an_error_names_the_place(client: httpx.Client, path: str, body: Json, place: str) -> None:
    answer = client.post(path, json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(place)


@pytest.mark.parametrize("path", [path for path in sorted(BODIES) if path not in ("/admin/reload", "/v1/embeddings")])
def test_a_body_that_is_nested_too_deeply_is_refused(client: httpx.Client, path: str) -> None:
    for nested in ("[" * 240 + "]" * 240, '{"a":' * 240 + "1" + "}" * 240):
        raw = json.dumps(BODIES[path] | {"user": "@"}).replace('"@"', nested).encode()
        answer = client.post(path, content=raw)
        assert answer.status_code == 400
    if path != "/v1/feedback":
        assert "within each other" in answer.json()["error"]["message"]


NOT_READ = {
    "chat_completions": {"model", "stop", "user", "metadata"},
    "messages": {"model", "stop_sequences", "metadata", "max_tokens"},
    "responses": {"model", "metadata", "user"},
}
"""Members that no model is shown: what stands there goes on as it is."""


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    made = Inside(tmp_path_factory.mktemp("inside"))
    yield made
    made.close()


@pytest.mark.parametrize("how", ["value", "name", "list", "beside"])
@pytest.mark.parametrize("api", sorted(PATHS))
def test_a_banned_phrase_reaches_the_model_from_no_place_that_it_reads(inside: Inside, api: str, how: str) -> None:
    body = BODIES[PATHS[api]]
    inside.model.said = Said(api, ((("text", "Well."),),))

    async def reached() -> list[tuple[Any, ...]]:
        found = []
        for path in places(body):
            if not path or path[0] in NOT_READ[api]:
                continue
            at: Any = body
            for key in path:
                at = at[key]
            value: Any = {
                "value": PHRASE,
                "name": {PHRASE: at},
                "list": [at, {"type": "text", "text": PHRASE}],
                "beside": at | {"unknown": {"deep": [PHRASE]}} if isinstance(at, dict) else PHRASE,
            }[how]
            inside.model.bodies.clear()
            answer = await inside.ask(api, put(body, path, value))
            assert answer.status < 500, (path, answer.body)
            if any(PHRASE in json.dumps(each) for each in inside.model.bodies):
                found.append(path)
        return found

    assert asyncio.run(reached()) == []
