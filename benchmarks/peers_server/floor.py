"""What any proxy of this kind costs: FastAPI before aiohttp's client, and nothing between them, or ten stdlib patterns.

`UPSTREAM` is the address up to `/v1`; `PATTERNS=1` looks for the ten patterns in prompts and in whole answers.
Streams go through unlooked at: to hold them back is work that no pass-through does.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson
from fastapi import FastAPI, Request
from fastapi.responses import Response, StreamingResponse
from patterns import LITERALS, REGEXES

UPSTREAM = os.environ["UPSTREAM"] + "/chat/completions"
LOOKED_FOR = [re.compile(one, re.IGNORECASE) for one in (*map(re.escape, LITERALS), *REGEXES)]
if os.environ.get("PATTERNS") != "1":
    LOOKED_FOR = []
JSON = {"content-type": "application/json"}


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=200)) as session:
        app.state.session = session
        yield


app = FastAPI(lifespan=lifespan)


def breaks(text: str | None) -> bool:
    return any(pattern.search(text or "") for pattern in LOOKED_FOR)


def refusal() -> Response:
    return Response(b'{"error":{"message":"blocked"}}', status_code=400, media_type="application/json")


@app.post("/v1/chat/completions")
async def chat(request: Request) -> Response:
    body = await request.body()
    asked: dict[str, Any] = orjson.loads(body)
    if LOOKED_FOR and any(breaks(message["content"]) for message in asked["messages"]):
        return refusal()
    session: aiohttp.ClientSession = request.app.state.session
    if asked.get("stream"):
        answer = await session.post(UPSTREAM, data=body, headers=JSON)

        async def chunks() -> AsyncIterator[bytes]:
            try:
                async for chunk in answer.content.iter_any():
                    yield chunk
            finally:
                answer.release()

        return StreamingResponse(chunks(), status_code=answer.status, media_type="text/event-stream")
    async with session.post(UPSTREAM, data=body, headers=JSON) as answer:
        raw = await answer.read()
    if LOOKED_FOR and any(breaks(choice["message"]["content"]) for choice in orjson.loads(raw)["choices"]):
        return refusal()
    return Response(raw, status_code=answer.status, media_type="application/json")
