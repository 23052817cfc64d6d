"""A chat completions endpoint without a model, as raw ASGI, for the server's benchmarks.

    python -m uvicorn benchmarks._server_mock:app --port 9000 --no-access-log --log-level warning

`GET /set?delay_ms=50&chunks=20&chunk_ms=10` changes how it answers: milliseconds before the first byte, pieces of a
streamed reply, and milliseconds between two of them. `GET /stats` counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

import orjson

from benchmarks._server_texts import MARK, SECRET, breaking_reply, pieces, reply

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

KNOBS = {"delay_ms": 0.0, "chunks": 20.0, "chunk_ms": 0.0}
COUNTS = {"requests": 0, "open": 0, "most_open": 0, "left": 0, "secrets": 0}
"""`left`: calls that were broken off; `secrets`: requests with something in them that no guard should let through."""

_JSON = (b"content-type", b"application/json")
_SSE = (b"content-type", b"text/event-stream")
_MARK = MARK.encode()
_SECRET = SECRET.encode()


async def app(scope: Message, receive: Receive, send: Send) -> None:
    """The ASGI application."""
    if scope["type"] == "lifespan":
        await _live(receive, send)
        return
    path = scope["path"]
    if path.endswith("/chat/completions"):
        await _chat(await _body(receive), send)
    elif path == "/set":
        KNOBS.update({name: float(value) for name, value in parse_qsl(scope["query_string"].decode())})
        await _json(send, KNOBS)
    elif path == "/stats":
        await _json(send, COUNTS)
    elif path.endswith("/models"):
        model = {"id": "mock", "object": "model", "created": 1, "owned_by": "mock"}
        await _json(send, {"object": "list", "data": [model]})
    else:
        await _json(send, {"error": {"message": f"nothing at {path}", "type": "invalid_request_error"}}, 404)


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def _json(send: Send, data: object, status: int = 200) -> None:
    body = orjson.dumps(data)
    headers = [_JSON, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _chat(body: bytes, send: Send) -> None:
    COUNTS["requests"] += 1
    COUNTS["secrets"] += _SECRET in body
    COUNTS["open"] += 1
    COUNTS["most_open"] = max(COUNTS["most_open"], COUNTS["open"])
    try:
        asked = orjson.loads(body)
        number = COUNTS["requests"]
        text = breaking_reply(number) if _MARK in body else reply(number)
        if KNOBS["delay_ms"]:
            await asyncio.sleep(KNOBS["delay_ms"] / 1000)
        if asked.get("stream"):
            await _stream(asked.get("model", "mock"), text, send)
        else:
            await _json(send, _completion(asked.get("model", "mock"), text))
    except (OSError, asyncio.CancelledError):
        COUNTS["left"] += 1
        raise
    finally:
        COUNTS["open"] -= 1


def _completion(model: str, text: str) -> Message:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 10, "completion_tokens": 50, "total_tokens": 60}
    head = {"id": "chatcmpl-mock", "object": "chat.completion", "created": 1_700_000_000, "model": model}
    return {**head, "choices": [choice], "usage": usage}


async def _stream(model: str, text: str, send: Send) -> None:
    """Pieces by the clock: a late one does not make those after it late."""
    loop = asyncio.get_running_loop()
    began, pause = loop.time(), KNOBS["chunk_ms"] / 1000
    await send({"type": "http.response.start", "status": 200, "headers": [_SSE]})
    await _say(send, _chunk(model, {"role": "assistant", "content": ""}, None))
    for number, piece in enumerate(pieces(text, int(KNOBS["chunks"]))):
        if pause and number:
            await asyncio.sleep(max(0.0, began + number * pause - loop.time()))
        await _say(send, _chunk(model, {"content": piece}, None))
    last = _chunk(model, {}, "stop") + b"data: [DONE]\n\n"
    await send({"type": "http.response.body", "body": last, "more_body": False})


async def _say(send: Send, event: bytes) -> None:
    await send({"type": "http.response.body", "body": event, "more_body": True})


def _chunk(model: str, delta: Message, finish: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    head = {"id": "chatcmpl-mock", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": model}
    return b"data: " + orjson.dumps({**head, "choices": [choice]}) + b"\n\n"
