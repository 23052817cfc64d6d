"""`POST /v1/embeddings`: handed on to the upstream as it is.

Nothing is judged: what comes back is numbers that nobody reads, and whoever embeds a corpus wants all of it embedded,
what breaks a rule too. Texts that are found again by it are judged when they come back in a conversation.
"""

from __future__ import annotations

from typing import Any

from starlette.routing import BaseRoute, Route

from server.apis._small import SmallEndpoint, passed
from server.parts import Parts

OPENAPI: dict[str, Any] = {
    "paths": {
        "/v1/embeddings": {
            "post": {
                "summary": "Embeddings by the upstream; the input is not judged",
                "tags": ["embeddings"],
                "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
                "responses": {"200": {"description": "OpenAI's list of embeddings"}},
            }
        }
    }
}


def routes(parts: Parts) -> list[BaseRoute]:
    """The API's one route."""
    return [Route("/v1/embeddings", SmallEndpoint(parts, "embed", passed), methods=["POST"])]
