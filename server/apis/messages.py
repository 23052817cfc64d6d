"""`POST /v1/messages`."""

from __future__ import annotations

from starlette.routing import BaseRoute, Route

from server.apis._openapi import ANTHROPIC_ERROR, ANTHROPIC_TURNS, operation, text
from server.dialects.base import BadRequest
from server.dialects.messages import DIALECT
from server.parts import Parts
from server.proxy.call import Call
from server.proxy.endpoint import Endpoint


class _Messages(Endpoint):
    async def _handle(self, call: Call) -> None:
        # The API refuses this itself; by way of a translation it would be let through.
        given = call.body.get("max_tokens")
        if given is None:
            raise BadRequest("max_tokens", "is needed", "say how many tokens the answer may have at most")
        whole = type(given) is int or (type(given) is float and given.is_integer())
        if not whole or given < 1:
            raise BadRequest("max_tokens", "must be a whole number of at least 1", "as `1024`")
        await super()._handle(call)


def routes(parts: Parts) -> list[BaseRoute]:
    """The API's one route."""
    return [Route("/v1/messages", _Messages(parts, DIALECT), methods=["POST"])]


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
            "messages": ANTHROPIC_TURNS,
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
