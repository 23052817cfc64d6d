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
            "input": {
                "anyOf": [
                    {"type": "string", "minLength": 1},
                    {
                        "type": "array",
                        "minItems": 1,
                        "items": {
                            "type": "object",
                            "description": "A message; items of other kinds are taken as well.",
                            "required": ["role", "content"],
                            "properties": {
                                "type": {"const": "message"},
                                "role": {"enum": ["user", "assistant", "system", "developer"]},
                                "content": text("input_text", "output_text", seen=("input_image", "input_file")),
                            },
                        },
                    },
                ]
            },
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
