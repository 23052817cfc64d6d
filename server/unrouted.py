"""What is told of a path or a method that no API has: in the shape of the API that the client speaks."""

from __future__ import annotations

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from server.dialects.base import Fault
from server.dialects.chat_completions.faults import fault_body
from server.dialects.messages import DIALECT as MESSAGES

_ANTHROPIC = "/v1/messages"


async def unrouted(request: Request, error: Exception) -> Response:
    """404 where there is no such path, 405 with `Allow` where there is and not with this method."""
    if not isinstance(error, HTTPException):
        raise error
    path = request.url.path
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        fault = Fault(405, "invalid_request", f"this path does not take `{request.method[:20]}`, but {allowed}")
    else:
        fault = Fault(error.status_code, "not_found", "there is no such path here")
    shape = MESSAGES.fault if path == _ANTHROPIC or path.startswith(f"{_ANTHROPIC}/") else fault_body
    return Response(orjson.dumps(shape(fault)), fault.status, error.headers, "application/json")
