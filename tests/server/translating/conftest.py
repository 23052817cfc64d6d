"""A stand-in for the whole way of a translated request: the official client, a translation, an upstream's answer."""

from __future__ import annotations

from typing import Any

import httpx2
import orjson
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from server.upstreams.base import Event

Json = dict[str, Any]


class Translated:
    """A server in this process that translates what it is asked, and answers with what an upstream said."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.asked: Json = {}
        self.data: Json = {}
        self.events: list[Json] = []
        app = Starlette(routes=[Route("/{path:path}", self._answer, methods=["POST"])])
        self.client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app))

    async def _answer(self, request: Request) -> Response:
        body = orjson.loads(await request.body())
        self.asked = self.module.request(body)
        if not body.get("stream"):
            return Response(orjson.dumps(self.module.answer(self.data, body)), media_type="application/json")
        return Response(stream_of(self.module, body, self.events), media_type="text/event-stream")


def stream_of(module: Any, asked: Json, events: list[Json]) -> bytes:
    translation = module.Translation(asked)
    said = [out for data in events for out in translation.feed(Event(b"", data, data.get("type", "")))]
    return b"".join(event.raw for event in [*said, *translation.close()])


@pytest.fixture
def translated() -> type[Translated]:
    return Translated
