"""`POST /v1/moderations`: the gate, asked as OpenAI's moderation endpoint is.

Each input is judged as a prompt; the header `x-wardlaw-part` says otherwise (`response`, `reasoning`, `tool_call`,
`tool_result`, `system`). Its result has OpenAI's categories, by the table beside this file, one for every hazard that a
rule of the constitution names, `rule:ID` for each rule that has neither, and `wardlaw:not-judged`. `flagged`: a rule in
force is broken, or a detector failed; at least one category is then true. The object `wardlaw` in each result tells the
rules and what was looked for. Nothing is done about what is found.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from typing import Any

import orjson
from starlette.routing import BaseRoute, Route

from guard.exchange import Exchange, Message
from guard.guarding.decision import decision_id
from guard.guarding.incoming import Incoming, Unscannable
from rules.schema import Part
from server.apis._moderating import Input, Moderation
from server.apis._openapi import KEYS, OPENAI_ERROR, SECURITY, TOLD, WARDLAW, errors, json_of
from server.apis._openapi import text as said
from server.apis._small import Asked, SmallEndpoint, Told
from server.dialects.base import BadRequest
from server.parts import Parts
from server.proxy.http import JSON, parsed
from server.proxy.telling import told_headers
from server.record import Record

PART = "x-wardlaw-part"
"""Request header: as which part of an exchange the input is judged."""

_TEXTS: dict[str, Any] = {"type": "array", "minItems": 1, "items": {"type": "string"}}
_PARTS: dict[str, Any] = {**said()["anyOf"][1], "description": "One input, made of parts."}
_RESULT: dict[str, Any] = {
    "type": "object",
    "required": ["flagged", "categories", "category_scores", "category_applied_input_types", "wardlaw"],
    "properties": {
        "flagged": {"type": "boolean"},
        "categories": {"type": "object", "additionalProperties": {"type": "boolean"}},
        "category_scores": {"type": "object", "additionalProperties": {"type": "number"}},
        "category_applied_input_types": {"type": "object", "additionalProperties": {"type": "array"}},
        "wardlaw": WARDLAW,
    },
}
_ANSWER: dict[str, Any] = {
    "type": "object",
    "required": ["id", "model", "results"],
    "properties": {
        "id": {"type": "string"},
        "model": {"type": "string"},
        "results": {"type": "array", "minItems": 1, "items": _RESULT},
    },
}

OPENAPI: dict[str, Any] = {
    "components": {"securitySchemes": KEYS},
    "paths": {
        "/v1/moderations": {
            "post": {
                "summary": "Judge texts by the constitution",
                "tags": ["moderations"],
                "parameters": [
                    {
                        "name": PART,
                        "in": "header",
                        "description": "as which part of an exchange the input is judged",
                        "schema": {"type": "string", "enum": [part.value for part in Part], "default": "prompt"},
                    }
                ],
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "required": ["input"],
                                "properties": {
                                    "model": {"type": "string"},
                                    "input": {"anyOf": [{"type": "string"}, _TEXTS, _PARTS]},
                                },
                            }
                        }
                    },
                },
                "responses": {
                    "200": {
                        **json_of(_ANSWER, "OpenAI's moderation object, `wardlaw` added to each result"),
                        "headers": TOLD,
                    },
                    **errors(OPENAI_ERROR),
                },
                "security": SECURITY,
            }
        }
    },
}


def routes(parts: Parts) -> list[BaseRoute]:
    """The API's one route."""
    return [Route("/v1/moderations", SmallEndpoint(parts, "moderate", moderate), methods=["POST"])]


async def moderate(asked: Asked) -> Told:
    """Judge what a request holds.

    Raises:
        BadRequest: it is none of this API.
        AuditFailed: see `Audit.keep`.
    """
    parts, began = asked.parts, time.perf_counter()
    body = parsed(asked.raw, asked.headers)
    inputs = _inputs(body.get("input"))
    limits = parts.settings.limits
    if len(inputs) > limits.messages:
        raise BadRequest("input", f"has {len(inputs)} texts, more than the {limits.messages} taken", "send fewer")
    if sum(len(each.text) for each in inputs) > limits.text_chars:
        raise BadRequest("input", f"has more than {limits.text_chars} characters", "send fewer, or shorter ones")
    messages = [_message(asked.headers.get(PART, "prompt"), each.text) for each in inputs]
    model = body.get("model", "")
    if type(model) is not str:
        raise BadRequest("model", "is no text", "give the model's name, or leave it out")
    trace = parts.telemetry.begin(asked.headers)
    with parts.guards.lease(asked.caller.constitution, asked.caller.key) as guard:
        exchanges = [Exchange((message,)) for message in messages]
        verdicts = await asyncio.gather(*map(guard.gate.ajudge, exchanges))
        moderation = Moderation(guard, decision_id(), inputs, verdicts)
        decision = moderation.decision
        record = Record(
            decision,
            asked.caller,
            "moderations",
            model[:200],
            seconds=time.perf_counter() - began,
            prompt=None if parts.settings.audit.content == "none" else Incoming(tuple(messages), decision.unscannable),
        )
        await parts.audit.keep(record)
        parts.telemetry.decided(record, trace)
        if parts.shadow is not None and parts.shadow.collects(asked.caller.constitution) is not None:
            part = Part(asked.headers.get(PART, "prompt"))
            parts.shadow.offer(
                record, lambda: [(each.where, part, one) for each, one in zip(inputs, exchanges, strict=True)]
            )
        told = {
            "id": f"modr-{secrets.token_hex(12)}",
            "model": model or "wardlaw",
            "results": moderation.results(parts.settings.tell),
        }
    return Told(200, orjson.dumps(told), [JSON, *told_headers(decision, parts.settings.tell)])


def _inputs(given: object) -> list[Input]:
    """A result is given for each string; a list of parts is one input."""
    if type(given) is str:
        return [Input("input", given)]
    if type(given) is not list or not given:
        hint = "write a string, a list of strings, or a list of parts"
        raise BadRequest("input", "must hold something to judge", hint)
    if type(given[0]) is dict:
        return [_parts(given)]
    for place, text in enumerate(given):
        if type(text) is not str:
            what = f"must be a string, not `{type(text).__name__}`"
            raise BadRequest(f"input[{place}]", what, "tokens are not taken; send their text")
    return [Input(f"input[{place}]", text) for place, text in enumerate(given)]


def _parts(given: Sequence[Any]) -> Input:
    texts, unscannable = [], []
    for place, part in enumerate(given):
        kind = part.get("type") if type(part) is dict else None
        if kind == "text" and type(part.get("text")) is str:
            texts.append(part["text"])
        elif type(kind) is str and kind != "text":
            unscannable.append(Unscannable(f"input[{place}]", kind[:40]))
        else:
            hint = 'write `{"type": "text", "text": "..."}`'
            raise BadRequest(f"input[{place}]", "must be an object with a `type`", hint)
    return Input("input", "\n".join(texts), tuple(unscannable))


def _message(part: str, text: str) -> Message:
    """The message in which a text is judged as the part that is asked for."""
    if part == Part.REASONING:
        return Message("assistant", "", reasoning=text)
    if part == Part.TOOL_CALL:
        return Message("assistant", "", tool_calls=(text,))
    if part == Part.SYSTEM:
        return Message("system", text)
    if part == Part.PROMPT:
        return Message("user", text)
    if part == Part.RESPONSE:
        return Message("assistant", text)
    if part == Part.TOOL_RESULT:
        return Message("tool", text)
    raise BadRequest(PART, f"unknown part `{part[:40]}`", f"the parts are {', '.join(Part)}")
