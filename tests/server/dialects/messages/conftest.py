"""Streams as Anthropic sends them, and a real client before a real server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from server.upstreams.base import Event

Json = dict[str, Any]


def made(data: Json) -> Event:
    """An event as an upstream sends it."""
    return Event(b"event: %b\ndata: %b\n\n" % (data["type"].encode(), orjson.dumps(data)), data, data["type"])


def begun() -> Event:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": []}
    message |= {"stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 7, "output_tokens": 1}}
    return made({"type": "message_start", "message": message})


def opened(index: int, block: Json) -> Event:
    return made({"type": "content_block_start", "index": index, "content_block": block})


def piece(index: int, **delta: Any) -> Event:
    return made({"type": "content_block_delta", "index": index, "delta": delta})


def said(index: int, text: str) -> Event:
    return piece(index, type="text_delta", text=text)


def closed(index: int) -> Event:
    return made({"type": "content_block_stop", "index": index})


def finished(reason: str = "end_turn") -> list[Event]:
    delta = {"stop_reason": reason, "stop_sequence": None}
    return [
        made({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 20}}),
        made({"type": "message_stop"}),
    ]


@pytest.fixture
def tool_stream() -> list[Event]:
    """Reasoning, a text, and two tools called side by side."""
    return [
        begun(),
        made({"type": "ping"}),
        opened(0, {"type": "thinking", "thinking": "", "signature": ""}),
        piece(0, type="thinking_delta", thinking="Two cities, "),
        piece(0, type="thinking_delta", thinking="two calls."),
        piece(0, type="signature_delta", signature="c2lnbmVk"),
        closed(0),
        opened(1, {"type": "text", "text": ""}),
        said(1, "I look "),
        said(1, "at both."),
        closed(1),
        opened(2, {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}),
        piece(2, type="input_json_delta", partial_json='{"city": "Os'),
        piece(2, type="input_json_delta", partial_json='lo"}'),
        closed(2),
        opened(3, {"type": "tool_use", "id": "toolu_2", "name": "weather", "input": {}}),
        piece(3, type="input_json_delta", partial_json='{"city": "Rome"}'),
        closed(3),
        *finished("tool_use"),
    ]


class Served:
    """What the server answers next."""

    url = ""
    body = b""
    status = 200
    media = "text/event-stream"

    def stream(self, events: list[Event]) -> None:
        self.body, self.status, self.media = b"".join(event.raw for event in events), 200, "text/event-stream"

    def json(self, data: Json, status: int = 200) -> None:
        self.body, self.status, self.media = orjson.dumps(data), status, "application/json"


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    """A server on loopback that answers every request with what it was given."""
    served = Served()

    async def answer(request: Request) -> Response:
        await request.body()
        return Response(served.body, served.status, media_type=served.media)

    app = Starlette(routes=[Route("/{path:path}", answer, methods=["POST"])])
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    running = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    served.url = f"http://127.0.0.1:{sock.getsockname()[1]}"
    yield served
    running.should_exit = True
    thread.join()
    sock.close()


@pytest.fixture
def event() -> Callable[[Json], Event]:
    return made
