"""Errors, as OpenAI writes them."""

from __future__ import annotations

from collections.abc import Mapping

from server.dialects.base import Fault, Json

_WORDS: Mapping[str, tuple[str, str | None]] = {
    "invalid_request": ("invalid_request_error", None),
    "authentication": ("invalid_request_error", "invalid_api_key"),
    "permission": ("invalid_request_error", "insufficient_permissions"),
    "not_found": ("invalid_request_error", "not_found"),
    "too_large": ("invalid_request_error", "request_too_large"),
    "rate_limit": ("requests", "rate_limit_exceeded"),
    "upstream": ("server_error", "upstream_error"),
    "timeout": ("server_error", "timeout"),
    "overloaded": ("server_error", "server_overloaded"),
    "internal": ("server_error", "internal_error"),
    "content_filter": ("invalid_request_error", "content_filter"),
}
"""Kind -> `type` and `code`. The client library picks its exception by the status alone."""


def fault_body(fault: Fault) -> Json:
    """The body of an error; all of OpenAI's APIs have this one."""
    unknown = ("invalid_request_error" if fault.status < 500 else "server_error", fault.kind)
    kind, code = _WORDS.get(fault.kind, unknown)
    return {"error": {"message": fault.message, "type": kind, "param": fault.where or None, "code": code}}
