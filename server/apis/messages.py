"""`POST /v1/messages`."""

from __future__ import annotations

from starlette.routing import BaseRoute, Route

from server.apis._openapi import ANTHROPIC_ERROR, operation, text
from server.dialects.messages import DIALECT
from server.parts import Parts
from server.proxy.endpoint import Endpoint


def routes(parts: Parts) -> list[BaseRoute]:
    """The API's one route."""
    return [Route("/v1/messages", Endpoint(parts, DIALECT), methods=["POST"])]


OPENAPI = operation(
    "/v1/messages",
    "create_message",
    "Anthropic's messages, guarded",
    {
        "type": "object",
        "required": ["model", "messages", "max_tokens"],
        "properties": {
            "model": {"type": "string"},
            "max_tokens": {"type": "integer", "minimum": 1},
            "system": text(seen=()),
            "messages": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "required": ["role", "content"],
                    "properties": {
                        "role": {"enum": ["user", "assistant"]},
                        "content": text(seen=("image", "document")),
                    },
                },
            },
            "stream": {"type": "boolean"},
        },
    },
    {
        "type": "object",
        "required": ["content"],
        "properties": {"id": {"type": "string"}, "content": {"type": "array", "items": {"type": "object"}}},
    },
    ANTHROPIC_ERROR,
)
