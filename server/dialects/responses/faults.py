"""How errors are told."""

from __future__ import annotations

from server.dialects.base import Fault, Json

_TYPES = {
    "authentication": "authentication_error",
    "permission": "permission_error",
    "not_found": "invalid_request_error",
    "invalid_request": "invalid_request_error",
    "too_large": "invalid_request_error",
    "content_filter": "invalid_request_error",
    "rate_limit": "rate_limit_error",
    "overloaded": "overloaded_error",
    "timeout": "timeout_error",
}
_CODES = {
    "authentication": "invalid_api_key",
    "not_found": "not_found",
    "too_large": "request_too_large",
    "rate_limit": "rate_limit_exceeded",
    "content_filter": "content_filter",
    "timeout": "timeout",
    "overloaded": "overloaded",
    "upstream": "upstream_error",
}


def body(fault: Fault) -> Json:
    """The body of an error that is answered instead of anything else."""
    return {
        "error": {
            "message": fault.message,
            "type": _TYPES.get(fault.kind, "server_error"),
            "param": fault.where or None,
            "code": _CODES.get(fault.kind),
        }
    }


def failure(fault: Fault, answer: Json | None) -> list[Json]:
    """What the events say that tell an error in the middle of a stream.

    Args:
        fault: the error.
        answer: as far as the client has it; None where it has heard of none.
    """
    code = _CODES.get(fault.kind, "server_error")
    error: Json = {"type": "error", "code": code, "message": fault.message, "param": fault.where or None}
    if answer is None:
        return [error]
    # The code is one of a short list here, which clients may check.
    told = {"code": "rate_limit_exceeded" if code == "rate_limit_exceeded" else "server_error"}
    failed = {**answer, "status": "failed", "error": {**told, "message": fault.message}}
    return [error, {"type": "response.failed", "response": failed}]
