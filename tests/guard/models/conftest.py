"""A real HTTP server on loopback that plays an OpenAI-compatible endpoint, faults and all."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from aiohttp import web

from guard.models._endpoint import read_endpoint
from guard.models._patience import Patience
from guard.models.openai import OpenAIModel

QUICK = Patience(attempt_s=5.0, total_s=10.0, attempts=3, down_s=0.2, first_wait_s=0.002, longest_wait_s=0.02)
"""Waits short enough for a test; everything else works as it ships."""


def completion(content: Any = "Fine.", *, finish: str | None = "stop", **message: Any) -> dict[str, Any]:
    """The JSON of a plain answer."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": content, **message}, "finish_reason": finish}
        ],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    }


@dataclass(frozen=True)
class Step:
    """How the endpoint answers one request."""

    status: int = 200
    body: Any = field(default_factory=completion)
    """bytes as they are, anything else as JSON."""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    cut: bool = False
    """The socket is closed when half of the body is out."""
    hang: bool = False
    """No answer, for as long as the client stays."""
    kind: str = "application/json"
    """The content type."""


@dataclass(frozen=True)
class Seen:
    """A request that came in."""

    body: dict[str, Any]
    headers: Mapping[str, str]
    at: float
    peer: tuple[str, int]
    """The client's end of the connection it came by."""


class FakeEndpoint:
    """Answers with `steps`, one a request, then with `otherwise`, which may also decide by the request's JSON."""

    def __init__(self) -> None:
        self.steps: deque[Step] = deque()
        self.otherwise: Step | Callable[[dict[str, Any]], Step] = Step()
        self.models = Step(body={"object": "list", "data": [{"id": "mock"}]})
        self.seen: list[Seen] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.arrived = asyncio.Event()
        self.client_left = asyncio.Event()
        self.base = ""

    def then(self, status: int = 200, body: Any = None, **how: Any) -> FakeEndpoint:
        """Answer the next request so; see `Step`."""
        self.steps.append(Step(status, completion() if body is None else body, **how))
        return self

    def always(self, status: int = 200, body: Any = None, **how: Any) -> FakeEndpoint:
        """Answer all further requests so."""
        self.otherwise = Step(status, completion() if body is None else body, **how)
        return self

    def decide(self, choose: Callable[[dict[str, Any]], tuple[int, Any]]) -> FakeEndpoint:
        """Answer all further requests with the status and body that `choose` gives for the request's JSON."""
        self.otherwise = lambda body: Step(*choose(body))
        return self

    @staticmethod
    def completion(content: Any = "Fine.", *, finish: str | None = "stop", **message: Any) -> dict[str, Any]:
        """The JSON of a plain answer."""
        return completion(content, finish=finish, **message)

    async def chat(self, request: web.Request) -> web.StreamResponse:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            body = await request.json()
            self.seen.append(Seen(body, dict(request.headers), time.monotonic(), _peer(request)))
            self.arrived.set()
            step = self.steps.popleft() if self.steps else self.otherwise
            return await self.answer(request, step(body) if callable(step) else step)
        except asyncio.CancelledError:
            self.client_left.set()
            raise
        finally:
            self.in_flight -= 1

    async def list_models(self, request: web.Request) -> web.StreamResponse:
        return await self.answer(request, self.models)

    async def answer(self, request: web.Request, step: Step) -> web.StreamResponse:
        await asyncio.sleep(3600 if step.hang else step.delay)
        raw = step.body if isinstance(step.body, bytes) else json.dumps(step.body).encode()
        if not step.cut:
            return web.Response(status=step.status, body=raw, headers=step.headers, content_type=step.kind)
        response = web.StreamResponse(
            status=step.status, headers={"Content-Length": str(len(raw)), "Content-Type": step.kind}
        )
        await response.prepare(request)
        await response.write(raw[: len(raw) // 2])
        if request.transport is not None:
            request.transport.close()
        return response


def _peer(request: web.Request) -> tuple[str, int]:
    assert request.transport is not None
    host, port = request.transport.get_extra_info("peername")[:2]
    return host, port


@pytest.fixture
async def endpoint(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeEndpoint]:
    """A running endpoint without a key in the environment."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "WARDLAW_CALL_TIMEOUT", "WARDLAW_PATIENCE"):
        monkeypatch.delenv(name, raising=False)
    fake = FakeEndpoint()
    app = web.Application(client_max_size=2**24)
    app.router.add_post("/v1/chat/completions", fake.chat)
    app.router.add_get("/v1/models", fake.list_models)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    fake.base = f"http://{host}:{port}/v1"
    yield fake
    await runner.cleanup()


@pytest.fixture
async def connect(endpoint: FakeEndpoint) -> AsyncIterator[Callable[..., OpenAIModel]]:
    """Opens models of the endpoint (or of another `spec`) with short waits, and closes them."""
    opened: list[OpenAIModel] = []

    def open_quick(spec: str = "", *, concurrency: int = 8, **patience: float) -> OpenAIModel:
        found = read_endpoint(spec or f"{endpoint.base}#mock")
        model = OpenAIModel(replace(found, patience=replace(QUICK, **patience)), concurrency=concurrency)
        opened.append(model)
        return model

    yield open_quick
    for model in opened:
        await model.close()
