"""What the OpenAPI document says of the routes that are plain ASGI for speed."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

TELL = {
    "name": "x-wardlaw-tell",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "enum": ["body"]},
    "description": "`body`: the answer carries an object `wardlaw` that says what was decided and why.",
}

_KEYS: Json = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "api_key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}

_ERRORS = {
    "400": "The request cannot be read, or was refused by the upstream.",
    "401": "No key, or one that is not known.",
    "403": "The key may not do this.",
    "408": "The body did not come in time.",
    "413": "The body is too long.",
    "429": "Too much in hand; `retry-after` says when to come again.",
    "500": "The server failed.",
    "502": "The upstream gave no usable answer.",
    "503": "The upstream is down, or the decision could not be recorded.",
    "504": "The upstream was too slow.",
}


def operation(
    path: str, name: str, summary: str, request: Json, answer: Json, error: Json, *, streams: bool = True
) -> Json:
    """The document of one `POST` route.

    Args:
        path: of the route.
        name: of the operation.
        summary: one line.
        request: JSON Schema of the body.
        answer: JSON Schema of a whole answer.
        error: JSON Schema of an error.
        streams: whether an answer may be a stream of server-sent events.
    """
    content: Json = {"application/json": {"schema": answer}}
    if streams:
        content["text/event-stream"] = {"schema": {"type": "string"}}
    responses: Json = {"200": {"description": "An answer; a withheld one says so.", "content": content}}
    for status, description in _ERRORS.items():
        responses[status] = {"description": description, "content": {"application/json": {"schema": error}}}
    body = {"required": True, "content": {"application/json": {"schema": request}}}
    described = {
        "operationId": name,
        "summary": summary,
        "parameters": [TELL],
        "requestBody": body,
        "responses": responses,
        "security": [{"bearer": []}, {"api_key": []}],
    }
    return {"paths": {path: {"post": described}}, "components": {"securitySchemes": _KEYS}}


def text() -> Json:
    """Schema of a text, or of a list of parts."""
    return {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "object"}}]}


OPENAI_ERROR: Json = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "code": {"type": ["string", "null"]},
                "param": {"type": ["string", "null"]},
            },
        }
    },
}

ANTHROPIC_ERROR: Json = {
    "type": "object",
    "required": ["type", "error"],
    "properties": {
        "type": {"const": "error"},
        "error": {
            "type": "object",
            "required": ["type", "message"],
            "properties": {"type": {"type": "string"}, "message": {"type": "string"}},
        },
    },
}
