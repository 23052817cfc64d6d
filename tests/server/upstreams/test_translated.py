"""Clients of every dialect before upstreams that speak one, with the translators that ship."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
import pytest

from guard.models import open_model
from server.upstreams.base import Answered, Event, NotAStream, Upstream, UpstreamFault
from server.upstreams.http import HttpUpstream
from server.upstreams.local import LocalUpstream
from server.upstreams.settings import UpstreamSettings
from server.upstreams.translated import TranslatedUpstream

TEXT = "The tide comes in twice a day, and the harbour fills with small boats."
WAYS = [
    ("messages", "openai", "/v1/chat/completions"),
    ("responses", "openai", "/v1/chat/completions"),
    ("chat_completions", "anthropic", "/v1/messages"),
    ("responses", "anthropic", "/v1/messages"),
]
Open = Callable[..., TranslatedUpstream]


@pytest.fixture
async def translated(fake_upstream: Any) -> AsyncIterator[Open]:
    """Opens upstreams before the fake one that speak the dialect of their kind alone."""
    opened: list[TranslatedUpstream] = []

    def make(kind: Any = "openai", **more: Any) -> TranslatedUpstream:
        settings = UpstreamSettings(url=fake_upstream.url, kind=kind, **more)
        opened.append(TranslatedUpstream(HttpUpstream(settings)))
        return opened[-1]

    yield make
    for upstream in opened:
        await upstream.close()


def said(dialect: str, data: dict[str, Any]) -> str:
    """The text of a whole answer."""
    if dialect == "chat_completions":
        return str(data["choices"][0]["message"]["content"])
    if dialect == "messages":
        return "".join(block["text"] for block in data["content"] if block["type"] == "text")
    parts = [part for item in data["output"] if item["type"] == "message" for part in item["content"]]
    return "".join(part["text"] for part in parts)


def streamed(dialect: str, events: list[Event]) -> str:
    """The text of a stream, from its pieces."""
    datas = [event.data for event in events if event.data is not None]
    if dialect == "chat_completions":
        return "".join(choice["delta"].get("content") or "" for data in datas for choice in data["choices"])
    if dialect == "messages":
        return "".join(data["delta"].get("text") or "" for data in datas if data["type"] == "content_block_delta")
    return "".join(data["delta"] for data in datas if data["type"] == "response.output_text.delta")


def ended(dialect: str, event: Event) -> bool:
    if dialect == "chat_completions":
        return event.kind == "done"
    return (event.data or {}).get("type") == {"messages": "message_stop", "responses": "response.completed"}[dialect]


@pytest.mark.parametrize(("dialect", "kind", "path"), WAYS)
async def test_an_answer_comes_in_the_clients_dialect(
    translated: Open, bodies: Any, fake_upstream: Any, dialect: str, kind: str, path: str
) -> None:
    upstream = translated(kind)
    assert upstream.speaks(dialect)
    answered = await upstream.ask(dialect, bodies[dialect], {})
    assert said(dialect, answered.data) == TEXT
    assert orjson.loads(answered.body) == answered.data
    assert answered.headers == {"x-request-id": "req-fake"}
    (request,) = fake_upstream.seen()
    assert request["path"] == path
    assert request["body"]["messages"][-1]["role"] == "user"


@pytest.mark.parametrize("mode", ["ok", "one_byte", "comments"])
@pytest.mark.parametrize(("dialect", "kind", "path"), WAYS)
async def test_a_stream_comes_in_the_clients_dialect_and_ends_as_its_api_says(
    translated: Open, read: Any, bodies: Any, fake_upstream: Any, dialect: str, kind: str, path: str, mode: str
) -> None:
    fake_upstream.script(mode)
    events = await read(translated(kind), dialect, bodies[dialect])
    assert streamed(dialect, events) == TEXT
    assert ended(dialect, events[-1])
    assert sum(ended(dialect, event) for event in events) == 1
    assert any(event.kind == "comment" for event in events) == (mode == "comments")
    assert fake_upstream.seen()[0]["path"] == path


@pytest.mark.parametrize(("dialect", "kind", "path"), WAYS)
async def test_the_arguments_of_a_call_go_through(
    translated: Open, read: Any, bodies: Any, fake_upstream: Any, dialect: str, kind: str, path: str
) -> None:
    fake_upstream.script("ok", arguments='{"place": "the harbour"}')
    schema = {"type": "object", "properties": {"place": {"type": "string"}}}
    tool: dict[str, Any] = {"name": "look_up", "description": "Looks a place up."}
    tool |= {"input_schema" if dialect == "messages" else "parameters": schema}
    if dialect == "chat_completions":
        tool = {"type": "function", "function": tool}
    elif dialect == "responses":
        tool["type"] = "function"
    body = bodies[dialect] | {"tools": [tool]}
    whole = (await translated(kind).ask(dialect, body, {})).body
    assert b"the harbour" in whole
    assert b"look_up" in whole
    events = await read(translated(kind), dialect, body)
    assert any(b"look_up" in event.raw for event in events)
    assert ended(dialect, events[-1])


async def test_what_the_upstream_speaks_itself_is_not_translated(
    translated: Open, read: Any, bodies: Any, fake_upstream: Any
) -> None:
    upstream = translated("openai")
    body = {"model": "fake", "messages": [], "unknown": 1}
    answered = await upstream.ask("chat_completions", body, {})
    assert b"made_up_field" in answered.body
    assert fake_upstream.seen()[0]["body"] == body


@pytest.mark.parametrize("mode", ["e404", "e429", "garbage", "close"])
@pytest.mark.parametrize(("dialect", "kind", "path"), WAYS)
async def test_faults_pass_as_they_are(
    translated: Open, bodies: Any, fake_upstream: Any, dialect: str, kind: str, path: str, mode: str
) -> None:
    fake_upstream.script(mode)
    with pytest.raises(UpstreamFault) as caught:
        await translated(kind).ask(dialect, bodies[dialect], {})
    assert caught.value.status == {"e404": 404, "e429": 429}.get(mode, 502)
    assert bool(caught.value.told) == (mode in ("e404", "e429"))


@pytest.mark.parametrize("mode", ["cut", "no_end", "garbage"])
@pytest.mark.parametrize(("dialect", "kind", "path"), WAYS)
async def test_a_translated_stream_that_breaks_off_is_never_ended_properly(
    translated: Open, bodies: Any, fake_upstream: Any, dialect: str, kind: str, path: str, mode: str
) -> None:
    fake_upstream.script(mode)
    events = []
    with pytest.raises(UpstreamFault) as caught:
        async with translated(kind).stream(dialect, bodies[dialect] | {"stream": True}, {}) as (_, coming):
            async for event in coming:
                events.append(event)  # noqa: PERF401  # a list made at once would be lost with the fault
    assert caught.value.status == 502
    assert not any(ended(dialect, event) for event in events)


@pytest.mark.parametrize(("dialect", "kind", "path"), WAYS)
async def test_a_whole_answer_in_place_of_a_stream_is_translated_too(
    translated: Open, bodies: Any, fake_upstream: Any, dialect: str, kind: str, path: str
) -> None:
    fake_upstream.script("not_a_stream")
    with pytest.raises(NotAStream) as caught:
        await translated(kind).stream(dialect, bodies[dialect] | {"stream": True}, {}).__aenter__()
    assert said(dialect, caught.value.answered.data) == TEXT


@pytest.mark.parametrize("stream", [False, True])
async def test_a_request_that_cannot_be_said_is_refused_with_its_place(
    translated: Open, bodies: Any, fake_upstream: Any, stream: bool
) -> None:
    body = bodies["messages"] | {"messages": [{"role": "user", "content": [{"type": "hologram"}]}]}
    with pytest.raises(UpstreamFault) as caught:
        if stream:
            await translated().stream("messages", body | {"stream": True}, {}).__aenter__()
        else:
            await translated().ask("messages", body, {})
    assert (caught.value.status, caught.value.kind) == (400, "invalid_request")
    assert "messages[0]" in caught.value.told
    assert fake_upstream.seen() == []


async def test_an_answer_that_cannot_be_read_is_the_upstreams_fault_and_is_not_quoted(
    translated: Open, bodies: Any, fake_upstream: Any
) -> None:
    fake_upstream.script("ok", body={"choices": [{"message": "a secret of someone's"}]})
    with pytest.raises(UpstreamFault) as caught:
        await translated().ask("messages", bodies["messages"], {})
    assert (caught.value.status, caught.value.told) == (502, "")
    assert "secret" not in str(caught.value)


async def test_a_clients_key_is_put_where_the_upstream_looks_for_it(
    translated: Open, bodies: Any, fake_upstream: Any
) -> None:
    await translated("openai").ask("messages", bodies["messages"], {"x-api-key": "k-1"})
    body = bodies["chat_completions"]
    await translated("anthropic").ask("chat_completions", body, {"authorization": "Bearer k-2"})
    first, second = (request["headers"] for request in fake_upstream.seen())
    assert (first.get("authorization"), first.get("x-api-key")) == ("Bearer k-1", None)
    assert (second.get("authorization"), second.get("x-api-key")) == (None, "k-2")


async def test_leaving_a_translated_stream_is_seen_by_the_upstream(
    translated: Open, bodies: Any, fake_upstream: Any
) -> None:
    fake_upstream.script("hang_mid")
    async with translated("anthropic").stream("responses", bodies["responses"] | {"stream": True}, {}) as (_, ev):
        await anext(ev)
    assert await asyncio.to_thread(fake_upstream.gone)


@pytest.mark.parametrize("dialect", ["messages", "responses"])
async def test_a_local_model_answers_every_dialect(tmp_path: Any, read: Any, bodies: Any, dialect: str) -> None:
    script = tmp_path / "answers.yaml"
    script.write_text(f"default: {{text: '{TEXT}', reasoning: About the sea.}}")
    upstream = TranslatedUpstream(LocalUpstream(open_model(f"scripted:{script}"), "scripted"))
    assert said(dialect, (await upstream.ask(dialect, bodies[dialect], {})).data) == TEXT
    events = await read(upstream, dialect, bodies[dialect])
    assert streamed(dialect, events) == TEXT
    assert ended(dialect, events[-1])
    await upstream.close()


async def test_a_dialect_that_no_way_leads_to_is_not_spoken(bodies: Any) -> None:
    class Mute:
        identity = "mute"

        def speaks(self, dialect: str) -> bool:
            return False

        async def ask(self, *_: Any) -> Answered:
            raise NotImplementedError

    upstream = TranslatedUpstream(Mute())  # type: ignore[arg-type]
    assert not upstream.speaks("chat_completions")
    with pytest.raises(UpstreamFault) as caught:
        await upstream.ask("chat_completions", bodies["chat_completions"], {})
    assert caught.value.status == 404


def test_both_kinds_of_upstream_keep_the_protocol(fake_upstream: Any) -> None:
    upstreams: list[Upstream] = [
        TranslatedUpstream(HttpUpstream(UpstreamSettings(url=fake_upstream.url))),
        LocalUpstream(open_model("embedded:?context=64&slots=1"), "embedded"),
    ]
    for upstream in upstreams:
        assert upstream.speaks("chat_completions")
    asyncio.run(upstreams[1].close())
