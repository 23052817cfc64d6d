"""`POST /v1/responses`."""

from __future__ import annotations

from starlette.routing import BaseRoute, Route

from server.apis._openapi import OPENAI_ERROR, operation, text
from server.dialects.responses import DIALECT
from server.parts import Parts
from server.proxy.endpoint import Endpoint


def routes(parts: Parts) -> list[BaseRoute]:
    """The API's one route."""
    return [Route("/v1/responses", Endpoint(parts, DIALECT), methods=["POST"])]


OPENAPI = operation(
    "/v1/responses",
    "create_response",
    "OpenAI's responses, guarded",
    {
        "type": "object",
        "required": ["model", "input"],
        "properties": {
            "model": {"type": "string"},
            "input": text(),
            "instructions": {"type": ["string", "null"]},
            "stream": {"type": ["boolean", "null"]},
        },
    },
    {
        "type": "object",
        "required": ["output"],
        "properties": {"id": {"type": "string"}, "output": {"type": "array", "items": {"type": "object"}}},
    },
    OPENAI_ERROR,
)
