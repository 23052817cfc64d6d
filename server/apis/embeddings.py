"""`POST /v1/embeddings`: handed on to the upstream as it is.

Nothing is judged: what comes back is numbers that nobody reads, and whoever embeds a corpus wants all of it embedded,
what breaks a rule too. Texts that are found again by it are judged when they come back in a conversation.
"""

from __future__ import annotations

from typing import Any

from starlette.routing import BaseRoute, Route

from server.apis._openapi import KEYS, OPENAI_ERROR, SECURITY, errors, json_of
from server.apis._small import SmallEndpoint, passed
from server.parts import Parts

_NUMBERS: dict[str, Any] = {"type": "array", "items": {"type": "integer", "minimum": 0}}
_REQUEST: dict[str, Any] = {
    "type": "object",
    "required": ["model", "input"],
    "properties": {
        "model": {"type": "string"},
        "input": {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "string"}},
                _NUMBERS,
                {"type": "array", "items": _NUMBERS},
            ]
        },
    },
}
_ANSWER: dict[str, Any] = {
    "type": "object",
    "required": ["data"],
    "properties": {"data": {"type": "array", "items": {"type": "object", "required": ["embedding"]}}},
}

OPENAPI: dict[str, Any] = {
    "components": {"securitySchemes": KEYS},
    "paths": {
        "/v1/embeddings": {
            "post": {
                "summary": "Embeddings by the upstream; the input is not judged",
                "tags": ["embeddings"],
                "requestBody": {"required": True, **json_of(_REQUEST, "OpenAI's request.")},
                "responses": {"200": json_of(_ANSWER, "OpenAI's list of embeddings"), **errors(OPENAI_ERROR)},
                "security": SECURITY,
            }
        }
    },
}


def routes(parts: Parts) -> list[BaseRoute]:
    """The API's one route."""
    return [Route("/v1/embeddings", SmallEndpoint(parts, "embed", passed), methods=["POST"])]
