"""A model in this process as an upstream: the packaged SmolLM2, and scripts where the answer must be known."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from guard.models import open_model
from guard.models.base import Ask, ModelUnavailable, Reply
from server.upstreams.base import Event, UpstreamFault
from server.upstreams.local import LocalUpstream

SCRIPT = """
- {match: think, reasoning: It is a sum., text: It is four.}
- {match: cut, text: And so it goes, finish: length}
- {match: filter, text: Half, finish: filter}
- {match: pick, texts: [first way, second way]}
- {match: too long, error: context}
- {match: bad words, error: refused}
- {match: away, error: unavailable}
- {match: slow, text: one two three four, delay_ms: 60000}
- {text: The tide comes in.}
"""


@pytest.fixture
async def scripted(tmp_path: Path) -> AsyncIterator[LocalUpstream]:
    path = tmp_path / "answers.yaml"
    path.write_text(SCRIPT)
    upstream = LocalUpstream(open_model(f"scripted:{path}"), "scripted")
    yield upstream
    await upstream.close()


@pytest.fixture(scope="module")
def embedded() -> Iterator[LocalUpstream]:
    upstream = LocalUpstream(open_model("embedded:?context=512&slots=2&threads=1"), "embedded")
    yield upstream
    asyncio.run(upstream.close())


def asked(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "gpt-x", "messages": [{"role": "user", "content": text}], **more}


async def whole(upstream: LocalUpstream, body: dict[str, Any]) -> dict[str, Any]:
    answered = await upstream.ask("chat_completions", body, {})
    assert orjson.loads(answered.body) == answered.data
    return answered.data


async def events(upstream: LocalUpstream, body: dict[str, Any]) -> list[Event]:
    async with upstream.stream("chat_completions", body | {"stream": True}, {}) as (_, coming):
        return [event async for event in coming]


def text_of(stream: list[Event], choice: int = 0, key: str = "content") -> str:
    choices = [one for event in stream if event.data for one in event.data["choices"]]
    return "".join(one["delta"].get(key) or "" for one in choices if one["index"] == choice)


async def test_a_whole_answer_has_the_shape_of_chat_completions(scripted: LocalUpstream) -> None:
    data = await whole(scripted, asked("Please think"))
    assert data["object"] == "chat.completion"
    assert data["id"].startswith("chatcmpl-")
    assert data["model"] == "scripted"
    (choice,) = data["choices"]
    assert choice["message"]["content"] == "It is four."
    assert choice["message"]["reasoning_content"] == "It is a sum."
    assert choice["finish_reason"] == "stop"
    usage = data["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 0


@pytest.mark.parametrize(("text", "reason"), [("cut", "length"), ("filter", "content_filter"), ("hi", "stop")])
async def test_how_an_answer_ended_is_told(scripted: LocalUpstream, text: str, reason: str) -> None:
    assert (await whole(scripted, asked(text)))["choices"][0]["finish_reason"] == reason
    stream = await events(scripted, asked(text))
    assert [event.data["choices"][0]["finish_reason"] for event in stream if event.data][-1] == reason


async def test_a_stream_says_what_the_whole_answer_says_in_pieces(scripted: LocalUpstream) -> None:
    stream = await events(scripted, asked("Please think", stream_options={"include_usage": True}))
    assert text_of(stream) == "It is four."
    assert text_of(stream, key="reasoning_content") == "It is a sum."
    assert len(stream) > 8
    assert all(event.raw == b"data: " + orjson.dumps(event.data) + b"\n\n" for event in stream[:-1])
    assert stream[-1].kind == "done"
    first, usage = stream[0].data, stream[-2].data
    assert first is not None
    assert usage is not None
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert first["usage"] is None
    assert usage["choices"] == []
    assert usage["usage"] == (await whole(scripted, asked("Please think")))["usage"]
    assert len({event.data["id"] for event in stream if event.data}) == 1


async def test_usage_comes_only_where_it_is_asked_for(scripted: LocalUpstream) -> None:
    stream = await events(scripted, asked("Hello"))
    assert not [event for event in stream if event.data and "usage" in event.data]


async def test_several_choices_are_drawn_each_by_a_seed_of_its_own(scripted: LocalUpstream) -> None:
    body = asked("pick one", n=3, seed=4)
    ways = ["first way", "second way", "first way"]
    data = await whole(scripted, body)
    assert [choice["message"]["content"] for choice in data["choices"]] == ways
    stream = await events(scripted, body)
    assert [text_of(stream, n) for n in range(3)] == ways


async def test_parts_and_roles_are_read_as_the_api_means_them(scripted: LocalUpstream) -> None:
    messages = [
        {"role": "developer", "content": "Be short."},
        {"role": "user", "content": [{"type": "text", "text": "Please "}, {"type": "text", "text": "think"}]},
    ]
    data = await whole(scripted, {"messages": messages})
    assert data["choices"][0]["message"]["content"] == "It is four."


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools: the local model"),
        ({"messages": []}, "messages: a list of at least one"),
        ({"messages": "hi"}, "messages: a list"),
        ({"messages": [{"role": "robot", "content": "x"}]}, r"messages\[0\].role: one of"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, r"messages\[0\].content\[0\]: "),
        ({"messages": [{"role": "user", "content": 5}]}, r"messages\[0\].content: "),
        ({"messages": [{"role": "assistant", "tool_calls": [{}]}]}, r"messages\[0\].tool_calls: "),
        ({"temperature": 3}, "temperature: a number from 0 to 2"),
        ({"temperature": True}, "temperature: "),
        ({"top_p": "high"}, "top_p: "),
        ({"max_tokens": -1}, "max_tokens: "),
        ({"max_completion_tokens": 1.5}, "max_completion_tokens: "),
        ({"n": 0}, "n: at least 1"),
        ({"n": 1000}, "n: a whole number up to 16"),
        ({"seed": "x"}, "seed: "),
        ({"stop": [1]}, "stop: "),
        ({"response_format": {"type": "json_schema"}}, "response_format: "),
        ({"logprobs": True, "top_logprobs": 50}, "top_logprobs: "),
    ],
)
async def test_what_a_local_model_cannot_take_is_said(scripted: LocalUpstream, change: Any, told: str) -> None:
    for call in (whole, events):
        with pytest.raises(UpstreamFault) as caught:
            await call(scripted, asked("Hello") | change)
        assert (caught.value.status, caught.value.kind) == (400, "invalid_request")
        assert caught.value.told.startswith(told.replace("\\", ""))
        assert caught.value.told.startswith(f"{caught.value.where}: ")


async def test_tools_that_must_not_be_called_are_left_out(scripted: LocalUpstream) -> None:
    data = await whole(scripted, asked("Hello", tools=[{"type": "function"}], tool_choice="none"))
    assert data["choices"][0]["message"]["content"] == "The tide comes in."


@pytest.mark.parametrize(
    ("text", "status", "kind"),
    [("too long", 400, "invalid_request"), ("bad words", 400, "content_filter"), ("away", 503, "upstream")],
)
@pytest.mark.parametrize("n", [1, 2])
async def test_a_model_that_fails_is_a_fault_before_anything_is_sent(
    scripted: LocalUpstream, text: str, status: int, kind: str, n: int
) -> None:
    with pytest.raises(UpstreamFault) as caught:
        await whole(scripted, asked(text, n=n))
    assert (caught.value.status, caught.value.kind) == (status, kind)
    with pytest.raises(UpstreamFault) as caught:
        await scripted.stream("chat_completions", asked(text, n=n), {}).__aenter__()
    assert (caught.value.status, caught.value.kind) == (status, kind)


async def test_leaving_a_stream_ends_the_models_work(scripted: LocalUpstream) -> None:
    before = asyncio.all_tasks()
    task = asyncio.create_task(events(scripted, asked("slow", n=2)))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == before


async def test_the_list_of_models_is_the_model(scripted: LocalUpstream) -> None:
    status, body, headers = await scripted.passed("GET", "/v1/models", None, {})
    assert (status, headers) == (200, {"content-type": "application/json"})
    assert [model["id"] for model in orjson.loads(body)["data"]] == ["scripted"]
    _, body, _ = await scripted.passed("GET", "/v1/models/scripted", None, {})
    assert orjson.loads(body)["id"] == "scripted"
    with pytest.raises(UpstreamFault) as caught:
        await scripted.passed("POST", "/v1/embeddings", b"{}", {})
    assert (caught.value.status, caught.value.kind) == (404, "not_found")


async def test_a_closed_model_is_not_ready_and_says_so(scripted: LocalUpstream) -> None:
    assert await scripted.ready()
    await scripted.close()
    await scripted.close()
    assert not await scripted.ready()


class Whole:
    """A model of someone else's, which cannot stream."""

    identity = "whole"
    local = True
    closed = False

    async def chat(self, ask: Ask) -> Reply:
        if self.closed:
            raise ModelUnavailable("it is closed")
        return Reply(f"You said {ask.messages[-1].content}", "stop")

    async def close(self) -> None:
        self.closed = True


async def test_a_model_that_cannot_stream_gives_its_answer_as_one_piece() -> None:
    stream = await events(LocalUpstream(Whole(), "whole"), asked("hello there"))
    assert text_of(stream) == "You said hello there"
    assert len([event for event in stream if event.data and event.data["choices"][0]["delta"].get("content")]) == 1


async def test_the_embedded_model_streams_what_it_answers_whole(embedded: LocalUpstream) -> None:
    body = asked("What is 2+2?", temperature=0, max_tokens=40)
    data = await whole(embedded, body)
    stream = await events(embedded, body)
    assert "4" in data["choices"][0]["message"]["content"]
    assert text_of(stream) == data["choices"][0]["message"]["content"]
    assert len(stream) > 5


async def test_log_probabilities_come_with_their_tokens(embedded: LocalUpstream) -> None:
    body = asked("Say yes or no.", temperature=0, max_tokens=4, logprobs=True, top_logprobs=2)
    tokens = (await whole(embedded, body))["choices"][0]["logprobs"]["content"]
    assert [len(token["top_logprobs"]) for token in tokens] == [2] * len(tokens)
    assert bytes(tokens[0]["bytes"]).decode() == tokens[0]["token"]
    stream = await events(embedded, body)
    given = [event.data["choices"][0]["logprobs"] for event in stream if event.data]
    assert [token["token"] for one in given if one for token in one["content"]] == [t["token"] for t in tokens]


async def test_an_answer_that_must_fit_a_schema_fits_it(embedded: LocalUpstream) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    data = await whole(embedded, asked("Pick a number.", response_format=form, max_tokens=60))
    assert isinstance(orjson.loads(data["choices"][0]["message"]["content"])["n"], int)


async def test_clients_who_leave_free_the_slots_of_the_embedded_model(embedded: LocalUpstream) -> None:
    long = asked("Write a very long story.", temperature=1.5, seed=1, max_tokens=450)
    for _ in range(6):  # three times as many as there are slots
        async with embedded.stream("chat_completions", long, {}) as (_, coming):
            await anext(coming)
    tasks = [asyncio.create_task(embedded.ask("chat_completions", long, {})) for _ in range(6)]
    await asyncio.sleep(0.1)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    pool = embedded._model._engine.pool  # type: ignore[attr-defined]
    data = await whole(embedded, asked("What is 2+2?", temperature=0, max_tokens=40))
    assert "4" in data["choices"][0]["message"]["content"]
    assert pool._work_queue.qsize() == 0
