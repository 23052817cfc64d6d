"""`GET /v1/models` and `GET /v1/models/{model}`: the upstream's own models."""

from __future__ import annotations

from typing import Any

from starlette.routing import BaseRoute, Route

from server.apis._openapi import KEYS, OPENAI_ERROR, SECURITY, errors, json_of
from server.apis._small import SmallEndpoint, passed
from server.parts import Parts

_MODEL: dict[str, Any] = {
    "type": "object",
    "required": ["id"],
    "properties": {"id": {"type": "string"}, "object": {"const": "model"}},
}
_LIST: dict[str, Any] = {
    "type": "object",
    "required": ["data"],
    "properties": {"object": {"const": "list"}, "data": {"type": "array", "items": _MODEL}},
}

OPENAPI: dict[str, Any] = {
    "components": {"securitySchemes": KEYS},
    "paths": {
        "/v1/models": {
            "get": {
                "summary": "The models of the upstream, as it lists them",
                "tags": ["models"],
                "responses": {"200": json_of(_LIST, "OpenAI's list of models"), **errors(OPENAI_ERROR)},
                "security": SECURITY,
            }
        },
        "/v1/models/{model}": {
            "get": {
                "summary": "One model of the upstream",
                "tags": ["models"],
                "parameters": [{"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}],
                "responses": {"200": json_of(_MODEL, "OpenAI's object of a model"), **errors(OPENAI_ERROR)},
                "security": SECURITY,
            }
        },
    },
}


def routes(parts: Parts) -> list[BaseRoute]:
    """Both are for those who may chat."""
    endpoint = SmallEndpoint(parts, "chat", passed)
    return [
        Route("/v1/models", endpoint, methods=["GET"]),
        Route("/v1/models/{model:path}", endpoint, methods=["GET"]),
    ]
