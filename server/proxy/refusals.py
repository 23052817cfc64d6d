"""What a client is told of a request that was not served, whichever API it asked."""

from __future__ import annotations

import logging
import traceback

from rules.errors import WardlawError
from server.dialects.base import BadRequest, Fault
from server.parts import AuditFailed, Busy, Denied
from server.proxy.http import TooLarge, TooSlow
from server.settings import LimitSettings

_log = logging.getLogger(__name__)

FAILED = "the server failed on this request"


def fault_of(error: Exception, limits: LimitSettings) -> Fault:
    """The fault that an error is told as. What nobody expected is logged, and told as no more than that."""
    if isinstance(error, Denied):
        return Fault(error.status, "authentication" if error.status == 401 else "permission", plain(error))
    if isinstance(error, Busy):
        return Fault(429, "rate_limit", plain(error), error.retry_after)
    if isinstance(error, BadRequest):
        return Fault(400, "invalid_request", plain(error), where=error.where)
    if isinstance(error, TooLarge):
        most = limits.body_bytes
        return Fault(413, "too_large", f"the request's body has more than {most} bytes, the most this server takes")
    if isinstance(error, TooSlow):
        return Fault(408, "timeout", f"the request's body did not come within {limits.body_s:g} s")
    if isinstance(error, TimeoutError):
        return Fault(504, "timeout", f"the request took longer than {limits.seconds:g} s")
    if isinstance(error, AuditFailed):
        _log.error("audit: %s", error.what)
        return Fault(503, "overloaded", "the decision could not be recorded, so the request was not served", 5)
    _log.error("a request failed: %s", raised(error))
    return Fault(500, "internal", FAILED)


def plain(error: WardlawError) -> str:
    """An error in one line."""
    return f"{error.what} ({error.hint})" if error.hint else error.what


def raised(error: Exception) -> str:
    """The kind of an error and where it was raised; its message is left out, since it may quote a client's text."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    return f"{type(error).__name__} at {' < '.join(f'{frame.name}:{frame.lineno}' for frame in reversed(frames))}"
