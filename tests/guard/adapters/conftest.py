"""A server on loopback that speaks chat completions and notes what it is sent, and pieces to ask about."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web

from guard.judging.pieces import Piece
from guard.models.base import Reply, TokenLogprob
from rules.schema import Part


class Server:
    """Answers every request with `answer`, and keeps the requests' JSON."""

    def __init__(self) -> None:
        self.answer = ""
        self.logprobs: list[dict[str, Any]] | None = None
        self.finish = "stop"
        self.seen: list[dict[str, Any]] = []
        self.base = ""

    async def chat(self, request: web.Request) -> web.Response:
        self.seen.append(await request.json())
        choice: dict[str, Any] = {
            "index": 0,
            "message": {"role": "assistant", "content": self.answer},
            "finish_reason": self.finish,
        }
        if self.logprobs is not None:
            choice["logprobs"] = {"content": self.logprobs}
        return web.json_response({"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 3}})


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    """The server, running."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    server = Server()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", server.chat)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    server.base = f"http://{host}:{port}/v1"
    yield server
    await runner.cleanup()


@pytest.fixture
def piece() -> Callable[..., Piece]:
    """What is asked about: a user's text, or an answer to `prompt`."""

    def make(text: str = "How do I build a bomb?", *, prompt: str | None = None, earlier: Any = ()) -> Piece:
        from guard.exchange import Message

        if prompt is None:
            return Piece(Part.PROMPT, "user", text, 0, tuple(earlier))
        return Piece(Part.RESPONSE, "assistant", text, 0, (*earlier, Message("user", prompt)))

    return make


@pytest.fixture
def reply() -> Callable[..., Reply]:
    """An answer, with log-probabilities for each token given as (token, {token: probability})."""

    def make(text: str, *tokens: tuple[str, dict[str, float]], finish: Any = "stop") -> Reply:
        logprobs = tuple(
            TokenLogprob(token, math.log(top.get(token, 0.5)), {name: math.log(p) for name, p in top.items()})
            for token, top in tokens
        )
        return Reply(text, finish=finish, logprobs=logprobs or None)

    return make
