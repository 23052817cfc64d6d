"""`POST /v1/responses`."""

from __future__ import annotations

from starlette.routing import BaseRoute, Route

from server.dialects.responses import DIALECT
from server.parts import Parts
from server.proxy.endpoint import Endpoint


def routes(parts: Parts) -> list[BaseRoute]:
    """The API's one route."""
    return [Route("/v1/responses", Endpoint(parts, DIALECT), methods=["POST"])]
