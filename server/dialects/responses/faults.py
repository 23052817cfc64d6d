"""How an error is told in the middle of a stream."""

from __future__ import annotations

from server.dialects.base import Fault, Json
from server.dialects.chat_completions.faults import fault_body


def failure(fault: Fault, answer: Json | None) -> list[Json]:
    """What the events say that tell an error in the middle of a stream.

    Args:
        fault: the error.
        answer: as far as the client has it; None where it has heard of none.
    """
    code = fault_body(fault)["error"]["code"] or "server_error"
    error: Json = {"type": "error", "code": code, "message": fault.message, "param": fault.where or None}
    if answer is None:
        return [error]
    # The code is one of a short list here, which clients may check.
    told = {"code": "rate_limit_exceeded" if code == "rate_limit_exceeded" else "server_error"}
    failed = {**answer, "status": "failed", "error": {**told, "message": fault.message}}
    return [error, {"type": "response.failed", "response": failed}]
