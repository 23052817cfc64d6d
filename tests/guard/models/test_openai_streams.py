"""Streams of an OpenAI-compatible endpoint: what they say, and how they break."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import Any

import pytest

from guard.exchange import Message
from guard.models.base import (
    Ask,
    ContentRefused,
    ContextTooLong,
    ModelConfigError,
    ModelUnavailable,
    Piece,
    Reply,
    Sampling,
    Usage,
    streamed,
)

SSE = "text/event-stream"
COUNTED = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}


def stream_of(*chunks: dict[str, Any], done: bool = True) -> bytes:
    data = [json.dumps(chunk) for chunk in chunks] + ["[DONE]"] * done
    return "".join(f"data: {line}\n\n" for line in data).encode()


def delta(content: str | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    logprobs = more.pop("logprobs", None)
    told = more if content is None else {"content": content, **more}
    return {"choices": [{"index": 0, "delta": told, "finish_reason": finish, "logprobs": logprobs}]}


def ask(**more: Any) -> Ask:
    return Ask((Message("user", "Hello?"),), Sampling(max_tokens=9), **more)


async def pieces(model: Any, asked: Ask | None = None) -> list[Piece]:
    return [piece async for piece in streamed(model, asked or ask())]


def reply_of(given: list[Piece]) -> Reply:
    reply = given[-1].reply
    assert reply is not None
    assert "".join(piece.text for piece in given) == reply.text
    assert "".join(piece.reasoning for piece in given) == (reply.reasoning or "")
    return reply


async def test_a_stream_is_given_piece_by_piece_with_its_usage(endpoint: Any, connect: Any) -> None:
    endpoint.then(
        body=stream_of(delta("", role="assistant"), delta("Fi"), delta("ne."), delta(finish="stop"), COUNTED), kind=SSE
    )
    given = await pieces(connect())
    assert [piece.text for piece in given] == ["Fi", "ne.", ""]
    assert reply_of(given) == Reply("Fine.", "stop", None, Usage(7, 3))
    sent = endpoint.seen[0]
    assert sent.body["stream"] is True
    assert sent.body["stream_options"] == {"include_usage": True}
    assert sent.headers["Accept"] == SSE


@pytest.mark.parametrize(
    "chunks",
    [
        [delta(reasoning_content="It is "), delta(reasoning_content="a sum."), delta("Four.")],
        [delta(reasoning="It is a sum."), delta("Four.")],
        [delta("<thi"), delta("nk>It is"), delta(" a sum.</th"), delta("ink>\n\nFour.")],
    ],
)
async def test_reasoning_is_kept_apart_however_it_comes(endpoint: Any, connect: Any, chunks: Any) -> None:
    endpoint.then(body=stream_of(*chunks, delta(finish="stop")), kind=SSE)
    reply = reply_of(await pieces(connect()))
    assert (reply.reasoning, reply.text) == ("It is a sum.", "Four.")


async def test_log_probabilities_come_with_their_pieces(endpoint: Any, connect: Any) -> None:
    token = {"content": [{"token": "yes", "logprob": -0.1, "top_logprobs": [{"token": "no", "logprob": -2.0}]}]}
    endpoint.then(body=stream_of(delta("yes", logprobs=token), delta(finish="stop")), kind=SSE)
    given = await pieces(connect(), ask(logprobs=1))
    assert given[0].logprobs == reply_of(given).logprobs
    assert given[0].logprobs[0].top == {"no": -2.0}


async def test_a_server_that_answers_whole_gives_one_piece(endpoint: Any, connect: Any) -> None:
    (piece,) = await pieces(connect())
    assert reply_of([piece]).text == "Fine."


@pytest.mark.parametrize(("finish", "told"), [("length", "length"), ("content_filter", "filter"), ("stop", "stop")])
async def test_how_a_stream_ended_is_told(endpoint: Any, connect: Any, finish: str, told: str) -> None:
    endpoint.then(body=stream_of(delta("Half"), delta(finish=finish), done=False), kind=SSE)
    assert reply_of(await pieces(connect())).finish == told


async def test_a_filter_that_left_nothing_is_a_refusal(endpoint: Any, connect: Any) -> None:
    endpoint.then(body=stream_of(delta(finish="content_filter")), kind=SSE)
    with pytest.raises(ContentRefused):
        await pieces(connect())


@pytest.mark.parametrize(
    "body",
    [
        stream_of(delta("Half"), done=False),
        stream_of(delta("Half"))[:-20] + b"data: {\n\n",
        stream_of(delta("Half"), {"error": {"message": "out of memory"}}),
        b"data: [1, 2]\n\n",
        b"",
    ],
)
async def test_a_stream_that_breaks_off_is_no_answer_and_not_begun_again(
    endpoint: Any, connect: Any, body: bytes
) -> None:
    endpoint.always(body=body, kind=SSE)
    with pytest.raises(ModelUnavailable, match="in a stream"):
        await pieces(connect())
    assert len(endpoint.seen) == 1


async def test_a_connection_cut_in_a_stream_is_no_answer(endpoint: Any, connect: Any) -> None:
    endpoint.then(body=stream_of(delta("One"), delta("two"), delta(finish="stop")), kind=SSE, cut=True)
    with pytest.raises(ModelUnavailable):
        await pieces(connect())


async def test_what_passes_before_a_stream_begins_is_waited_out(endpoint: Any, connect: Any) -> None:
    endpoint.then(503, {"error": {"message": "loading model"}}).then(500, b"oops")
    endpoint.then(body=stream_of(delta("Fine."), delta(finish="stop")), kind=SSE)
    assert reply_of(await pieces(connect())).text == "Fine."
    assert len(endpoint.seen) == 3


async def test_an_endpoint_that_stays_down_is_given_up(endpoint: Any, connect: Any) -> None:
    endpoint.always(500, b"oops")
    with pytest.raises(ModelUnavailable, match="answers 500"):
        await pieces(connect())


@pytest.mark.parametrize(
    ("status", "message", "error"),
    [(400, "maximum context length is 5", ContextTooLong), (401, "who are you", ModelConfigError)],
)
async def test_a_refusal_of_a_stream_means_what_it_means_whole(
    endpoint: Any, connect: Any, status: int, message: str, error: Any
) -> None:
    endpoint.then(status, {"error": {"message": message}})
    with pytest.raises(error):
        await pieces(connect())


async def test_a_field_that_is_not_taken_is_left_out_of_a_stream_too(endpoint: Any, connect: Any) -> None:
    endpoint.then(400, {"error": {"message": "logprobs is not supported", "param": "logprobs"}})
    endpoint.always(body=stream_of(delta("Fine."), delta(finish="stop")), kind=SSE)
    model = connect()
    await pieces(model, ask(logprobs=2))
    await pieces(model, ask(logprobs=2))
    assert ["logprobs" in seen.body for seen in endpoint.seen] == [True, False, False]


async def test_a_reader_who_leaves_closes_the_connection(endpoint: Any, connect: Any) -> None:
    endpoint.then(hang=True)
    model = connect()
    task = asyncio.create_task(pieces(model))
    await endpoint.arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(endpoint.client_left.wait(), 20)
    endpoint.always(body=stream_of(delta("One"), delta("two"), delta(finish="stop")), kind=SSE)
    async with aclosing(model.stream(ask())) as coming:
        assert (await anext(coming)).text == "One"
    assert model.limit.in_flight == 0
