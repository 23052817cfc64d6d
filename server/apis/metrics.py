"""`GET /metrics`: for Prometheus."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from server.apis._openapi import OPENAI_ERROR, json_of
from server.apis.admin import admitted, refusal
from server.parts import Denied, Parts
from server.telemetry.metrics import CONTENT_TYPE


def routes(parts: Parts) -> list[BaseRoute]:
    """The page; none where it is turned off, or where the parts have no metrics."""
    metrics = getattr(parts.telemetry, "metrics", None)
    if metrics is None or parts.settings.metrics == "off":
        return []

    async def page(request: Request) -> Response:
        if parts.settings.metrics == "admin":
            try:
                admitted(parts, request)
            except Denied as error:
                return refusal(error)
        # Several workers' files are read from disk.
        return Response(await asyncio.to_thread(metrics.page), media_type=CONTENT_TYPE)

    return [Route("/metrics", page, methods=["GET"])]


OPENAPI: dict[str, Any] = {
    "paths": {
        "/metrics": {
            "get": {
                "summary": "Metrics in Prometheus' text format.",
                "tags": ["running"],
                "responses": {
                    "200": {"description": "The page.", "content": {"text/plain": {"schema": {"type": "string"}}}},
                    "401": json_of(OPENAI_ERROR, "No valid key, where one is asked for."),
                    "403": json_of(OPENAI_ERROR, "Not an administrator, where one is asked for."),
                },
            }
        }
    }
}
