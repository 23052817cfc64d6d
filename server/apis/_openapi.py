"""What the OpenAPI document says of the routes that are plain ASGI for speed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]

TELL = {
    "name": "x-wardlaw-tell",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "enum": ["body"]},
    "description": "`body`: the answer carries an object `wardlaw` that says what was decided and why.",
}

KEYS: Json = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A key of `wardlaw keys add`, where the setting `auth` is `keys`.",
    },
    "api_key": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "The same key."},
}

SECURITY: list[Json] = [{"bearer": []}, {"api_key": []}, {}]
"""The last stands for servers whose setting `auth` is `none`."""

_ERRORS = {
    "400": "The request cannot be read, or was refused by the upstream.",
    "401": "No key, or one that is not known.",
    "403": "The key may not do this.",
    "404": "There is no such thing, here or at the upstream.",
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
    answer = {**answer, "properties": {**answer["properties"], "wardlaw": WARDLAW}}
    content: Json = {"application/json": {"schema": answer}}
    if streams:
        content["text/event-stream"] = {"schema": {"description": "The API's own server-sent events."}}
    description = "An answer. One that was withheld says so in the API's own way, and `x-wardlaw-action` is `block`."
    responses: Json = {"200": {"description": description, "headers": TOLD, "content": content}, **errors(error)}
    body = {"required": True, "content": {"application/json": {"schema": request}}}
    described = {
        "operationId": name,
        "summary": summary,
        "description": "Members that are not named here go to the upstream as they are, once they have been looked at.",
        "tags": ["conversations"],
        "parameters": [TELL],
        "requestBody": body,
        "responses": responses,
        "security": SECURITY,
    }
    return {"paths": {path: {"post": described}}, "components": {"securitySchemes": KEYS}}


def json_of(schema: Json, description: str) -> Json:
    """A response or a body that is JSON."""
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def errors(schema: Json, *statuses: str) -> Json:
    """The responses that tell an error; all of them where none is named."""
    return {status: json_of(schema, _ERRORS[status]) for status in statuses or _ERRORS}


def text(*kinds: str, seen: Sequence[str] = ("image_url", "input_audio", "file")) -> Json:
    """Schema of a text, or of a list of parts.

    Args:
        kinds: those of parts that are text; `text` where left out.
        seen: those of parts that no detector can read.
    """
    kinds = kinds or ("text",)
    said = {
        "type": "object",
        "required": ["type", "text"],
        "properties": {"type": {"enum": list(kinds)}, "text": {"type": "string", "minLength": 1}},
    }
    other = {
        "type": "object",
        "description": "An image, a sound, a file: no detector can read it; the setting `guard.unscannable` decides.",
        "required": ["type"],
        "properties": {"type": {"enum": list(seen)}},
    }
    return {"anyOf": [{"type": "string"}, {"type": "array", "minItems": 1, "items": {"anyOf": [said, other]}}]}


_WHERE: Json = {"type": "array", "items": {"enum": ["prompt", "answer"]}}
_RULES: Json = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["id", "title", "why", "where"],
        "properties": {
            **{name: {"type": "string"} for name in ("id", "title", "why")},
            "hazards": {"type": "array", "items": {"type": "string"}, "description": "Codes, each `system:code`."},
            "where": _WHERE,
        },
    },
}

WARDLAW: Json = {
    "type": "object",
    "description": "What was decided; where it was asked for.",
    "required": ["decision", "action", "constitution", "where", "rules", "coverage"],
    "properties": {
        "decision": {"type": "string", "description": "Id, for `GET /v1/decisions/{decision}`."},
        "action": {"enum": ["allow", "flag", "redact", "revise", "resample", "block"]},
        "constitution": {"type": "string", "description": "Digest of the rules in force."},
        "where": {**_WHERE, "description": "Where a rule was broken."},
        "rules": {**_RULES, "description": "Those that led to the action, gravest first."},
        "withheld": {
            "type": "object",
            "description": "Old turns that the model was not shown; where there are such.",
            "required": ["places", "note"],
            "properties": {"places": {"type": "array", "items": {"type": "string"}}, "note": {"type": "string"}},
        },
        "coverage": {
            "type": "object",
            "description": "How far the detectors saw; all of it is told of the decision by its id.",
            "required": ["scanned", "not_scanned", "degraded", "partial", "unscannable"],
            "properties": {
                "scanned": {
                    "type": "array",
                    "items": {"type": "string"},
                    "description": "Detectors that looked for a rule.",
                },
                "not_scanned": {"type": "integer", "description": "How many rules no detector looked for."},
                "degraded": {"type": "array", "items": {"type": "string"}, "description": "Detectors that failed."},
                "partial": {"type": "object", "additionalProperties": {"type": "string"}},
                "unscannable": {"type": "array", "items": {"type": "object"}},
            },
        },
        "amend": {"type": "string", "description": "Why an answer was not mended, though a rule wants it; where so."},
        "mode": {"const": "shadow"},
        "would": {"type": "string", "description": "What would have been done."},
        "would_rules": {**_RULES, "description": "Those that would have led to it."},
        "findings": {"type": "array", "items": {"type": "object"}},
    },
}

TOLD: Json = {
    f"x-wardlaw-{name}": {"description": description, "schema": {"type": "string"}}
    for name, description in {
        "decision": "Id of the decision.",
        "action": "What was done: `allow`, `flag`, `redact`, `revise`, `resample` or `block`.",
        "constitution": "Digest of the rules in force.",
        "coverage": "`whole`, `partial` where something was not looked at, `degraded` where a detector failed.",
        "rules": "Ids of the rules that were broken.",
        "degraded": "Detectors that failed.",
        "mode": "`shadow` where nothing is done about what is found.",
    }.items()
}
"""Headers of an answer."""

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


ANTHROPIC_TURNS: Json = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "required": ["role", "content"],
        "properties": {"role": {"enum": ["user", "assistant"]}, "content": text(seen=("image", "document"))},
    },
}
"""The turns of a conversation with one of Anthropic's models."""
