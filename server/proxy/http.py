"""The little of HTTP that the hot path needs, on bare ASGI: a framework's request and response objects would cost as
much as the gate."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.types import Message, Receive, Scope, Send

from server.dialects.base import BadRequest

Headers = list[tuple[bytes, bytes]]

JSON = (b"content-type", b"application/json")
_NESTED = 200
"""Objects and lists within each other that a body may have: orjson writes 254, and a translation adds some."""

SSE: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # a reverse proxy that collects a stream undoes it
]


PATIENCE_S = 0.25
"""Seconds after which the server begins to listen whether the client of an answer is still there."""


class TooLarge(Exception):
    """A body is longer than is taken."""


class TooSlow(Exception):
    """A body did not come in time."""


class Gone(Exception):
    """The client has left."""


def headers_of(scope: Scope) -> dict[str, str]:
    """The request's headers, names in lower case; of a header that comes twice the last one counts."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


async def read_body(receive: Receive, headers: Mapping[str, str], limit: int, seconds: float) -> bytes:
    """A request's whole body.

    Raises:
        TooLarge: it has more than `limit` bytes, or says so.
        TooSlow: it took longer than `seconds`.
        Gone: the client left before its end.
    """
    said = headers.get("content-length", "")
    if said.isdecimal() and int(said[:20]) > limit:
        raise TooLarge
    message = await _receive(receive, seconds)
    if not message.get("more_body"):
        body: bytes = message.get("body", b"")
        if len(body) > limit:
            raise TooLarge
        return body
    pieces, size = [], 0
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > limit:
            raise TooLarge
        if not message.get("more_body"):
            return b"".join(pieces)
        message = await _receive(receive, deadline - asyncio.get_running_loop().time())


def parsed(raw: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
    """The JSON object that a body is.

    Raises:
        BadRequest: it is none.
    """
    if headers.get("content-encoding", "identity") != "identity":
        raise BadRequest("", "a compressed body is not taken", "send it without `content-encoding`")
    try:
        body = orjson.loads(raw)
    except ValueError as error:
        place = str(error).rpartition(": ")[2]
        raise BadRequest("", f"the body is no JSON: {place}", "send one JSON object") from None
    if not isinstance(body, dict):
        raise BadRequest("", f"the body is a JSON {type(body).__name__}", "send one JSON object")
    # What is nested more deeply than JSON can be written again could not be handed on.
    if raw.count(b"[") + raw.count(b"{") > _NESTED and _is_deep(body):
        raise BadRequest(
            "", f"the body has more than {_NESTED} objects or lists within each other", "send a flatter one"
        )
    return body


def _is_deep(body: dict[str, Any]) -> bool:
    level: list[Any] = [body]
    for _ in range(_NESTED):
        level = [
            inner
            for each in level
            for inner in (each.values() if type(each) is dict else each)
            if type(inner) is dict or type(inner) is list
        ]
        if not level:
            return False
    return True


async def _receive(receive: Receive, seconds: float) -> Message:
    try:
        async with asyncio.timeout(seconds):
            message = await receive()
    except TimeoutError:
        raise TooSlow from None
    if message["type"] == "http.disconnect":
        raise Gone
    return message


async def send_whole(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """Send a whole answer; `headers` without its length."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})


class Leaving:
    """Notices a client that goes away, and cancels the work that is done for it.

    Where an answer comes soon nothing is watched: only after `patience` seconds a task begins to listen.
    """

    def __init__(self, receive: Receive, *, patience: float = PATIENCE_S) -> None:
        """Watch over the current task, from now until `stop`."""
        self.gone = False
        self._receive = receive
        self._task = asyncio.current_task()
        self._listening: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(patience, self._begin)

    def uncancel(self) -> bool:
        """Whether the task was cancelled because the client has left; then it may go on, to keep what was decided."""
        if self.gone and self._task is not None:
            self._task.uncancel()
        return self.gone

    def stop(self) -> None:
        """Watch no longer."""
        self._timer.cancel()
        if self._listening is not None:
            self._listening.cancel()

    def _begin(self) -> None:
        self._listening = asyncio.get_running_loop().create_task(self._listen())

    async def _listen(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        if self._task is not None:
            self._task.cancel()
