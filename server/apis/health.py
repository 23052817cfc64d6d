"""`GET /healthz`: the process is alive, and how it fares. `GET /readyz`: requests may be sent here."""

from __future__ import annotations

import time
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from server.apis._openapi import json_of
from server.apis.admin import admitted
from server.parts import Denied, Parts

_HEADERS = {"cache-control": "no-store"}


_HIDDEN = "administrators are told why"


def routes(parts: Parts) -> list[BaseRoute]:
    """Both. Neither needs a key: probes have none, and no text of a client is in them.

    Why something fails may quote a rule's pattern or name machines, so only administrators are told that, and the
    process and the upstream's address.
    """

    async def healthz(request: Request) -> Response:
        running = parts.running
        known = _is_known(parts, request)
        failed = running.reloader.failed if running.reloader else {}
        told = {
            "status": "draining" if running.draining else "ok",
            "reload": "failed" if failed else "ok",
            "constitutions": running.reload_told(known),
            "degraded": {name: why if known else _HIDDEN for name, why in running.degraded.items()},
            "up_s": round(time.time() - running.started, 1),
        }
        if known:
            told |= {"pid": running.pid, "upstream": parts.upstream.identity}
        health = getattr(parts.audit, "health", None)
        if health is not None:
            now = health()
            told["audit"] = {"waiting_bytes": now.waiting, "lost": now.lost, "set_aside": now.set_aside}
        return _json(200, told)

    async def readyz(_: Request) -> Response:
        not_ready: list[str] = []
        if parts.running.draining:
            not_ready.append("it is draining")
        # Rules were loaded before anyone listened.
        elif not await _upstream_ready(parts):
            not_ready.append("the upstream does not answer")
        if why := parts.running.blocked():
            not_ready.append(why)
        return _json(503 if not_ready else 200, {"ready": not not_ready, "why_not": not_ready})

    return [Route("/healthz", healthz, methods=["GET"]), Route("/readyz", readyz, methods=["GET"])]


def _is_known(parts: Parts, request: Request) -> bool:
    """Whether an administrator asks."""
    try:
        admitted(parts, request)
    except Denied:
        return False
    return True


async def _upstream_ready(parts: Parts) -> bool:
    try:
        return await parts.upstream.ready()
    except Exception:
        return False


def _json(status: int, content: Any) -> Response:
    return Response(orjson.dumps(content), status, _HEADERS, "application/json")


_HEALTH: dict[str, Any] = {
    "type": "object",
    "required": ["status", "reload", "constitutions", "degraded", "up_s"],
    "properties": {
        "status": {"enum": ["ok", "draining"]},
        "reload": {"enum": ["ok", "failed"]},
        "constitutions": {"type": "object"},
        "upstream": {"type": "string"},
        "degraded": {"type": "object", "additionalProperties": {"type": "string"}},
        "pid": {"type": "integer"},
        "up_s": {"type": "number"},
        "audit": {"type": "object", "additionalProperties": {"type": "integer"}},
    },
}
_READY: dict[str, Any] = {
    "type": "object",
    "required": ["ready", "why_not"],
    "properties": {"ready": {"type": "boolean"}, "why_not": {"type": "array", "items": {"type": "string"}}},
}
OPENAPI: dict[str, Any] = {
    "paths": {
        "/healthz": {
            "get": {
                "summary": "How this worker fares: rules in force, last reload, audit, what is degraded.",
                "tags": ["running"],
                "responses": {"200": json_of(_HEALTH, "It is alive.")},
            }
        },
        "/readyz": {
            "get": {
                "summary": "Whether requests may be sent here.",
                "tags": ["running"],
                "responses": {
                    "200": json_of(_READY, "They may."),
                    "503": json_of(_READY, "It drains, or requests would fail."),
                },
            }
        },
    }
}
