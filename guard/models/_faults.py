"""What goes wrong between here and an OpenAI-compatible endpoint, and what it means."""

from __future__ import annotations

from guard.models._endpoint import Endpoint
from guard.models._patience import GivenUp, Passing
from guard.models.base import ModelConfigError, ModelUnavailable


def fault_of(error: BaseException, deadline: float, endpoint: Endpoint) -> Passing | ModelConfigError:
    """What a failed request means.

    Args:
        error: of aiohttp, or of reading what came.
        deadline: seconds that were given.
        endpoint: where it was sent.
    """
    import aiohttp

    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.InvalidURL):
        why = endpoint.scrub(str(error))
        hint = "check the address, and that this machine trusts the server's certificate"
        return ModelConfigError(f"`{endpoint.base}` cannot be connected to: {why}", hint)
    if isinstance(error, ValueError | RecursionError):
        return Passing("broken", "answers with what is no JSON")
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return Passing("down", "takes no connection in time", silent=True)
    if isinstance(error, TimeoutError):
        return Passing("broken", f"gave no answer within {round(deadline, 2):g} s", overload=True, silent=True)
    if isinstance(error, aiohttp.ClientConnectorError):
        refused = isinstance(error.os_error, ConnectionRefusedError)
        why = "connection refused" if refused else error.strerror or type(error).__name__
        return Passing("down", f"takes no connection: {endpoint.scrub(why)}")
    return Passing("broken", f"broke off its answer ({type(error).__name__})")


def unavailable(over: GivenUp, endpoint: Endpoint) -> ModelUnavailable:
    """What it comes to that all retries are used up."""
    last = over.last
    what = f"`{endpoint.base}` {last.what} (`{endpoint.model}`, {tried(over)})"
    return ModelUnavailable(what, hint_for(last), endpoint_down=last.kind == "down")


def tried(over: GivenUp) -> str:
    """How long and how often a call was tried."""
    return f"{over.attempts} attempt{'s' if over.attempts > 1 else ''} in {round(over.spent, 1):g} s"


def hint_for(last: Passing) -> str:
    """What to do about the fault that ended all retries."""
    if last.kind == "down":
        return "start the server, or check host and port in the model's name"
    if last.kind == "busy":
        asked = f"it asks to wait {round(last.retry_after, 1):g} s; " if last.retry_after else ""
        return f"{asked}wait longer with `WARDLAW_PATIENCE=seconds`, or send fewer calls at once"
    if last.overload:
        return "give an attempt longer with `WARDLAW_CALL_TIMEOUT=seconds`, or send fewer calls at once"
    return "look at the server's log, and at what stands between it and here"
