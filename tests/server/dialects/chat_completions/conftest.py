"""Bodies, chunks, and a server that answers the official client with them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import openai
import orjson
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from server.dialects._events import event
from server.upstreams.base import Event

Serve = Callable[[Callable[[dict[str, Any]], Response]], Awaitable[openai.AsyncOpenAI]]


class Shapes:
    """Requests, answers and chunks as the API has them."""

    @staticmethod
    def asked(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {"model": "m", "messages": list(messages or ({"role": "user", "content": "hi"},)), **more}

    @staticmethod
    def answered(*messages: dict[str, Any], finish: str = "stop", **more: Any) -> dict[str, Any]:
        choices = [
            {"index": place, "message": {"role": "assistant", **message}, "logprobs": None, "finish_reason": finish}
            for place, message in enumerate(messages)
        ]
        usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
        head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m"}
        return {**head, "choices": choices, "usage": usage, **more}

    @staticmethod
    def chunk(delta: dict[str, Any], index: int = 0, finish: str | None = None, **of_choice: Any) -> Event:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish, **of_choice}
        return Shapes.chunk_of([choice])

    @staticmethod
    def chunk_of(choices: list[dict[str, Any]], **more: Any) -> Event:
        head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        return event({**head, "choices": choices, **more})

    @staticmethod
    def tokens(*texts: str) -> dict[str, Any]:
        """Log-probabilities of these tokens."""
        spelled = [{"token": text, "logprob": -0.1, "bytes": list(text.encode()), "top_logprobs": []} for text in texts]
        return {"content": spelled, "refusal": None}

    @staticmethod
    def streamed(events: Iterable[Event]) -> Response:
        return Response(b"".join(each.raw for each in events), media_type="text/event-stream")

    @staticmethod
    def whole(data: dict[str, Any], status: int = 200) -> Response:
        return Response(orjson.dumps(data), status, media_type="application/json")


@pytest.fixture(scope="session")
def shapes() -> type[Shapes]:
    return Shapes


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Gives the official client of a server that answers each request as a function of its body says."""
    closing: list[tuple[openai.AsyncOpenAI, uvicorn.Server, asyncio.Task[None], socket.socket]] = []

    async def open_server(answer: Callable[[dict[str, Any]], Response]) -> openai.AsyncOpenAI:
        async def handle(request: Request) -> Response:
            return answer(orjson.loads(await request.body()))

        app = Starlette(routes=[Route("/v1/chat/completions", handle, methods=["POST"])])
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", ws="none")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started:  # noqa: ASYNC110  # uvicorn offers nothing to wait for
            await asyncio.sleep(0.005)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        client = openai.AsyncOpenAI(base_url=url, api_key="k", max_retries=0)
        closing.append((client, server, serving, listening))
        return client

    yield open_server
    for client, server, serving, listening in closing:
        await client.close()
        server.should_exit = True
        await serving
        listening.close()
