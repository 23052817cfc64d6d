"""`POST /v1/chat/completions`."""

from __future__ import annotations

from starlette.routing import BaseRoute, Route

from server.apis._openapi import OPENAI_ERROR, operation, text
from server.dialects.chat_completions import DIALECT
from server.parts import Parts
from server.proxy.endpoint import Endpoint


def routes(parts: Parts) -> list[BaseRoute]:
    """The API's one route."""
    return [Route("/v1/chat/completions", Endpoint(parts, DIALECT), methods=["POST"])]


OPENAPI = operation(
    "/v1/chat/completions",
    "create_chat_completion",
    "Chat completions, guarded",
    {
        "type": "object",
        "required": ["model", "messages"],
        "properties": {
            "model": {"type": "string"},
            "messages": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "required": ["role"],
                    "properties": {
                        "role": {"enum": ["system", "developer", "user", "assistant", "tool"]},
                        "content": {"anyOf": [text(), {"type": "null"}]},
                    },
                },
            },
            "stream": {"type": ["boolean", "null"]},
            "n": {"type": ["integer", "null"], "minimum": 1, "maximum": 8},
        },
    },
    {
        "type": "object",
        "required": ["choices"],
        "properties": {"id": {"type": "string"}, "choices": {"type": "array", "items": {"type": "object"}}},
    },
    OPENAI_ERROR,
)
