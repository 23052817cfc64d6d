"""`POST /v1/messages`."""

from __future__ import annotations

from starlette.routing import BaseRoute, Route

from server.dialects.messages import DIALECT
from server.parts import Parts
from server.proxy.endpoint import Endpoint


def routes(parts: Parts) -> list[BaseRoute]:
    """The API's one route."""
    return [Route("/v1/messages", Endpoint(parts, DIALECT), methods=["POST"])]
