"""`POST /admin/reload`: load the rules again, and say what came of it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from server.apis._openapi import KEYS, OPENAI_ERROR, SECURITY, json_of
from server.parts import Denied, Parts
from server.record import Caller
from server.settings import is_loopback

_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via")


def routes(parts: Parts) -> list[BaseRoute]:
    """The one route."""

    async def reload(request: Request) -> Response:
        try:
            admitted(parts, request)
        except Denied as error:
            parts.telemetry.failed("denied")
            return refusal(error)
        running = parts.running
        if running.reloader is None:
            return _json(501, {"error": {"type": "not_found", "message": "this server was not started from files"}})
        if request.query_params.get("dry", "") == "true":
            tried, candidates = await running.reloader.rehearse()
            failed = any(each.outcome == "failed" for each in tried)
            told = {
                "ok": not failed,
                "constitutions": {each.constitution: each.told(listed=True) for each in tried},
                "candidates": {name: {"digest": each.digest, "load": each.told()} for name, each in candidates.items()},
                "pid": running.pid,
                "workers": {"reloaded": 0, "told_to_reload": 0},
            }
            return _json(422 if failed else 200, told)
        done = await running.reloader.reload("request")
        # After this worker's own, whose outcome the others' will be: they read the same files.
        others = running.reload_others()
        failed = any(each.outcome == "failed" for each in done)
        told = {
            "ok": not failed,
            "constitutions": {each.constitution: each.told() for each in done},
            "candidates": running.candidates(True),
            "pid": running.pid,
            "workers": {"reloaded": 1, "told_to_reload": others},
        }
        return _json(422 if failed else 200, told)

    return [Route("/admin/reload", reload, methods=["POST"])]


def admitted(parts: Parts, request: Request) -> Caller:
    """Who asks for what only administrators may do: by key, or, where keys are off, from this machine itself.

    Raises:
        Denied: neither.
    """
    headers = request.headers
    if parts.settings.auth == "keys":
        return parts.door.caller({name.lower(): value for name, value in headers.items()}, "admin")
    # A reverse proxy on this machine brings strangers to loopback, and a web page can make its reader's browser ask, by
    # a name of its own that it lets stand for this machine.
    strange = any(name in headers for name in (*_FORWARDED, "origin"))
    asked = urlsplit(f"//{headers.get('host', '')}").hostname or ""
    if request.client is None or strange or not (is_loopback(request.client.host) and is_loopback(asked)):
        raise Denied(403, "without keys, this is only for requests from the machine itself", "set `auth: keys`")
    return Caller("")


def refusal(error: Denied) -> Response:
    """The answer to one who may not."""
    kind = "authentication" if error.status == 401 else "permission"
    message = f"{error.what} ({error.hint})" if error.hint else error.what
    return _json(error.status, {"error": {"type": kind, "message": message}})


def _json(status: int, content: Any) -> Response:
    return Response(orjson.dumps(content), status, {"cache-control": "no-store"}, "application/json")


_RELOADED: dict[str, Any] = {
    "type": "object",
    "required": ["ok", "constitutions", "pid", "workers"],
    "properties": {
        "ok": {"type": "boolean"},
        "constitutions": {"type": "object", "additionalProperties": {"type": "object", "required": ["outcome"]}},
        "candidates": {
            "type": "object",
            "description": "Constitution -> its candidate: digest, what came of its last load, counts.",
            "additionalProperties": {"type": "object", "required": ["digest"]},
        },
        "pid": {"type": "integer"},
        "workers": {"type": "object", "required": ["reloaded", "told_to_reload"]},
    },
}
OPENAPI: dict[str, Any] = {
    "components": {"securitySchemes": KEYS},
    "paths": {
        "/admin/reload": {
            "post": {
                "summary": "Load the rules again; needs the scope `admin`, or this machine where keys are off.",
                "tags": ["running"],
                "parameters": [
                    {
                        "name": "dry",
                        "in": "query",
                        "description": "`true`: only say what a reload would do, and list the tests that fail",
                        "schema": {"type": "string", "enum": ["true", "false"]},
                    }
                ],
                "responses": {
                    "200": json_of(_RELOADED, "What changed, and how the rules' own tests fare."),
                    "401": json_of(OPENAI_ERROR, "No valid key."),
                    "403": json_of(OPENAI_ERROR, "Not an administrator."),
                    "422": json_of(_RELOADED, "New rules cannot be used; the last good ones stay in force."),
                    "501": json_of(OPENAI_ERROR, "The server was not started from files."),
                },
                "security": SECURITY,
            }
        }
    },
}
