"""`POST /v1/chat/completions`."""

from __future__ import annotations

from starlette.routing import BaseRoute, Route

from server.dialects.chat_completions import DIALECT
from server.parts import Parts
from server.proxy.endpoint import Endpoint


def routes(parts: Parts) -> list[BaseRoute]:
    """The API's one route."""
    return [Route("/v1/chat/completions", Endpoint(parts, DIALECT), methods=["POST"])]
