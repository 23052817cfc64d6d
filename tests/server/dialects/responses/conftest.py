"""Streams as the API sends them, the way they take through the proxy's queue, and a server for the official client."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import orjson
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from guard.guarding.rulings import Ruling
from guard.window.outcomes import Channel, Released
from rules.schema import Action
from server.dialects.base import Streamed
from server.dialects.responses.events import told
from server.proxy.queue import EventQueue
from server.upstreams.base import Event

Json = dict[str, Any]
GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def golden() -> Callable[[str], list[Event]]:
    """The events of a recorded stream: `tools` or `search`."""
    return lambda name: [told(orjson.loads(line)) for line in (GOLDEN / f"{name}.jsonl").read_bytes().splitlines()]


class Scan(Protocol):
    """What stands for a window: how many characters of a channel may leave, given all that came and whether it ended.

    None: the choice is stopped.
    """

    def __call__(self, channel: Channel, text: str, *, ended: bool) -> int | None: ...


class Passage:
    """A stream on its way through the queue, as the proxy runs it."""

    def __init__(self, shape: Streamed, scan: Scan, ruling: Ruling | None = None, mask: str = "") -> None:
        """Nothing has come. Where there is a `mask`, it stands for the word `FORBIDDEN`."""
        self.shape, self.scan, self.mask = shape, scan, mask
        self.ruling = ruling or Ruling(Action.BLOCK, text="I would rather not.")
        self.queue = EventQueue(shape, keep=False)
        self.came: dict[Channel, str] = {}
        self.upto: dict[Channel, int] = {}
        self.left: list[Event] = []

    def run(self, events: Sequence[Event]) -> list[Event]:
        """All that the client gets."""
        for event in events:
            assert self.shape.unscannable(event) is None
            deltas = self.shape.texts(event)
            self.queue.push(event, deltas)
            for _, channel, text in deltas:
                self.came[channel] = self.came.get(channel, "") + text
                if self._judged(channel, ended=False):
                    return self._over()
            self.left += self.queue.ready()
        for channel in list(self.came):
            if self._judged(channel, ended=True):
                return self._over()
        self.left += self.queue.rest()
        return [event for event in self.left if event.raw]

    def _over(self) -> list[Event]:
        self.queue.stop(0, self.upto)
        self.left += self.queue.ready()
        self.queue.add(self.shape.stopped(0, self.ruling))
        self.left += self.queue.rest()
        self.left += self.shape.ended()
        return [event for event in self.left if event.raw]

    def _judged(self, channel: Channel, *, ended: bool) -> bool:
        text, start = self.came[channel], self.upto.get(channel, 0)
        end = self.scan(channel, text, ended=ended)
        if end is None:
            return True
        if end > start:
            word, spans, said = "FORBIDDEN", [], text[start:end]
            if self.mask:
                at = text.find(word, start)
                while 0 <= at < end:
                    assert at + len(word) <= end, "a word must leave whole"
                    spans.append((at, at + len(word)))
                    at = text.find(word, at + 1)
                said = said.replace(word, self.mask)
            self.upto[channel] = end
            self.queue.release(0, channel, Released(said, (start, end), tuple(spans)), self.mask)
        return False


@pytest.fixture(scope="session")
def passage() -> type[Passage]:
    return Passage


def everything(channel: Channel, text: str, *, ended: bool) -> int:
    """Lets everything leave at once."""
    return len(text)


@pytest.fixture(scope="session")
def at_once() -> Scan:
    return everything


@pytest.fixture
def client_of() -> Iterator[Callable[[Callable[[Json], Json | list[Event]]], str]]:
    """Serves what a function makes of each request body; gives the address for a client."""
    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(answer: Callable[[Json], Json | list[Event]]) -> str:
        async def handle(request: Request) -> Response:
            given = answer(orjson.loads(await request.body()))
            if isinstance(given, dict):
                return JSONResponse(given)
            return Response(b"".join(event.raw for event in given), media_type="text/event-stream")

        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        app = Starlette(routes=[Route("/v1/responses", handle, methods=["POST"])])
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none", lifespan="off"))
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.005)
        running.append((server, thread))
        return f"http://127.0.0.1:{listening.getsockname()[1]}/v1"

    yield start
    for server, thread in running:
        server.should_exit = True
        thread.join(5)
