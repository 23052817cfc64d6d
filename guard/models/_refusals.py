"""What an endpoint's refusal means: one of the errors of `guard.models.base`, or a fault that may pass."""

from __future__ import annotations

import email.utils
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from guard.models._endpoint import Endpoint
from guard.models._patience import Passing
from guard.models.base import ContentRefused, ContextTooLong, ModelConfigError, ModelError

_TOO_LONG_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error", "string_above_max_length"})
_TOO_LONG = re.compile(
    r"maximum (?:context|model|sequence|input) length|max(?:imum)? input tokens"  # OpenAI, vLLM, DeepSeek
    r"|context (?:length|size|window)\W.{0,80}(?:exceed|is only|too (?:small|short))"  # newer vLLM, LM Studio
    r"|(?:exceed|longer than|greater than|too large for|larger than).{0,80}\b(?:context|maximum model length)\b"
    r"|max_tokens must be at least 1, got -"  # vLLM, where the prompt alone fills the context
    r"|(?:prompt|input|request) (?:is|was) too long|too many (?:input |prompt )?tokens"
    r"|inputs`? (?:tokens )?.{0,40}must (?:have less than|be <=)"  # text-generation-inference
    r"|token count .{0,60}exceeds the maximum",  # Gemini
    re.IGNORECASE | re.DOTALL,
)
_FILTERED_CODES = frozenset({"content_filter", "content_policy_violation", "data_inspection_failed"})
_FILTERED = re.compile(r"content management policy|content policy|flagged|moderation", re.IGNORECASE)
_NO_MONEY = re.compile(r"insufficient_quota|insufficient (?:balance|credits|funds)|billing_", re.IGNORECASE)
_NO_MODEL = re.compile(
    r"model_not_found|model\b.{0,120}(?:not found|does not exist|not a valid)|not a valid model", re.I
)
_LOADING = re.compile(r"loading model|model is (?:still )?loading", re.IGNORECASE)

BUSY = frozenset({429, 503, 504, 529})
"""Statuses that fewer calls at a time would help."""
_PASSING = frozenset({408, 409, 425, 429})


class NotThere(ModelConfigError):
    """The address or the model is unknown at the endpoint. `openai.py` looks up what there is, and says so."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What an answer that is no completion says, in whatever shape the server says it."""

    status: int
    message: str
    code: str
    field: str | None


def read_refusal(status: int, body: bytes) -> Refusal:
    """The refusal in a response whose status is not 200."""
    try:
        refusal = refusal_in(json.loads(body), status)
    except ValueError:
        refusal = None
    return refusal or Refusal(status, body[:2000].decode("utf-8", "replace"), "", None)


def refusal_in(answer: Any, status: int) -> Refusal | None:
    """The refusal in an answer's JSON, which some servers send with status 200; None where there is none."""
    error = answer.get("error") or answer if isinstance(answer, Mapping) else answer
    if isinstance(error, str):
        return Refusal(_status(status, ""), error, "", None)
    if not isinstance(error, Mapping):
        return None
    detail = error.get("message") or error.get("detail") or error.get("msg") or error
    message = detail if isinstance(detail, str) else json.dumps(detail)
    codes = " ".join(str(error[name]) for name in ("code", "type") if error.get(name) is not None)
    field = error.get("param")
    return Refusal(
        _status(status, str(error.get("code", ""))), message, codes, field if isinstance(field, str) else None
    )


def _status(status: int, code: str) -> int:
    # An error sent with 200 carries its real status in its code, if at all; else it is the request that was refused.
    if status != 200:
        return status
    return int(code) if re.fullmatch(r"[45]\d\d", code) else 400


def meaning(refusal: Refusal, headers: Mapping[str, str], endpoint: Endpoint) -> ModelError | Passing:
    """What to raise for a refusal."""
    status = refusal.status
    said = endpoint.scrub(refusal.message) or "nothing more"
    codes = set(refusal.code.split())
    at = f"`{endpoint.base}`"
    if status in (401, 403) and not _FILTERED.search(refusal.message):
        return _no_entry(status, said, endpoint)
    if status == 402 or (status == 429 and _NO_MONEY.search(f"{refusal.code} {refusal.message}")):
        return ModelConfigError(
            f"{at} says the account is out of credit ({status}): {said}",
            f"check the account that the key in `{endpoint.key_name}` belongs to",
        )
    if status == 413 or (status in (400, 422, 500) and (codes & _TOO_LONG_CODES or _TOO_LONG.search(refusal.message))):
        return ContextTooLong(
            f"the conversation does not fit `{endpoint.model}` at {at}: {said}",
            "ask for fewer new tokens, shorten the prompt, or serve the model with a longer context",
        )
    if codes & _FILTERED_CODES or (status in (400, 403) and _FILTERED.search(refusal.message)):
        return ContentRefused(
            f"the filter of {at} refused the conversation: {said}", "ask another model, or leave this prompt out"
        )
    if status in (404, 405) or (status == 400 and _NO_MODEL.search(f"{refusal.code} {refusal.message}")):
        return NotThere(f"{at} does not know what was asked for ({status}): {said}", "check address and model")
    if 300 <= status < 400:
        return ModelConfigError(
            f"{at} has moved to `{endpoint.scrub(headers.get('Location', 'nowhere'))}` ({status})",
            "name the new address; a redirect is not followed, since the key would go with it",
        )
    if status in _PASSING or status >= 500:
        after = retry_after(headers)
        told_to_wait = status == 429 or (status in BUSY and (after is not None or _LOADING.search(refusal.message)))
        return Passing(
            "busy" if told_to_wait else "broken",
            f"answers {status}: {said}",
            retry_after=after,
            overload=status in BUSY,
        )
    return ModelError(
        f"{at} refused the request for `{endpoint.model}` ({status}): {said}",
        "check the sampling options against what this model takes",
    )


def _no_entry(status: int, said: str, endpoint: Endpoint) -> ModelConfigError:
    name = endpoint.key_name
    if endpoint.key is None:
        return ModelConfigError(
            f"`{endpoint.base}` wants a key ({status}), and the environment variable `{name}` is not set: {said}",
            f"run `export {name}=...`, or name another variable with `?key=NAME` before the `#`",
        )
    return ModelConfigError(
        f"`{endpoint.base}` refused the key in the environment variable `{name}` ({status}): {said}",
        f"set `{name}` to a key that may use `{endpoint.model}`, or name another variable with `?key=NAME`",
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the endpoint asks to wait: `retry-after-ms`, or `Retry-After` as seconds or as an HTTP date."""
    for name, unit in (("retry-after-ms", 0.001), ("Retry-After", 1.0)):
        given = headers.get(name)
        if given is None:
            continue
        try:
            seconds = float(given) * unit
        except ValueError:
            try:
                seconds = email.utils.parsedate_to_datetime(given).timestamp() - time.time()
            except (ValueError, OverflowError):
                continue
        # `nan` fails this comparison; it would make every later one false and the wait endless.
        if seconds < 1e9:
            return max(0.0, seconds)
    return None
