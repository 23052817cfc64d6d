"""An upstream's answer with an error status, as the fault that a client is told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from server.upstreams._headers import back, wait_of
from server.upstreams.base import UpstreamFault

_MOST_TOLD = 600
"""Characters of an upstream's own words."""

_KINDS = {
    401: "authentication",
    402: "permission",
    403: "permission",
    404: "not_found",
    408: "timeout",
    413: "too_large",
    429: "rate_limit",
}
_LIKE_A_KEY = re.compile(
    r"(?<!\w)(?:(?:sk|pk|rk|gsk|hf|xai|nvapi)[-_](?=[\w*-]*[\d*])[\w*-]{8,}|AIza[\w-]{20,}|Bearer\s+\S+)", re.IGNORECASE
)


def refused(status: int, body: bytes, headers: Mapping[str, str], key: str, *, ours: bool) -> UpstreamFault:
    """The fault that an error status stands for.

    Args:
        status: 3xx, 4xx or 5xx.
        body: as it came.
        headers: names in any letter case, looked up in any letter case.
        key: of the server for this upstream; empty where there is none.
        ours: whether the upstream was asked with what the server has, a key or nothing, and not with the client's own.
    """
    what = f"the upstream answers with status {status}"
    wait, kept = wait_of(headers), back(headers)
    if status < 400:
        hint = "redirects are not followed: set the address that it points to"
        return UpstreamFault(502, "upstream", what, hint, headers=kept)
    if status in (503, 529):
        return UpstreamFault(503, "overloaded", what, retry_after=wait, headers=kept)
    if status == 504:
        return UpstreamFault(504, "timeout", what, retry_after=wait, headers=kept)
    if status >= 500:
        return UpstreamFault(502, "upstream", what, "look at the upstream's log", retry_after=wait, headers=kept)
    if status == 401 and ours:
        # the client's own key was right: a 401 would send it looking for a fault on its side
        hint = "the server's key for the upstream is refused: set another" if key else "set `upstream.key`"
        return UpstreamFault(502, "upstream", what, hint)
    told, code = _told(body)
    kind = "content_filter" if code == "content_filter" else _KINDS.get(status, "invalid_request")
    return UpstreamFault(status, kind, what, retry_after=wait, told=_scrubbed(told, key), headers=kept)


def told_in(error: Any, key: str) -> str:
    """What an error object of a stream or a body says, one line, without keys."""
    return _scrubbed(_message(error), key)


def _told(body: bytes) -> tuple[str, str]:
    """The message of an error's body, and its code; empty where it has none."""
    try:
        said = orjson.loads(body)
    except ValueError:
        return "", ""
    if not isinstance(said, dict):
        return "", ""
    error = said.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return _message(error) or _message(said), code if isinstance(code, str) else ""


def _message(error: Any) -> str:
    if isinstance(error, dict):
        error = error.get("message") or error.get("detail")
    if isinstance(error, list):  # a validation report: its first fault
        error = error[0].get("msg") if error and isinstance(error[0], dict) else None
    return error if isinstance(error, str) else ""


def _scrubbed(text: str, key: str) -> str:
    """One line of bounded length in which no key stands: upstreams quote the key they refuse, some of them whole."""
    text = text[: 4 * _MOST_TOLD]
    if len(key) >= 8:
        text = text.replace(key, "[key]")
    text = " ".join(_LIKE_A_KEY.sub("[key]", text).split())
    return text if len(text) <= _MOST_TOLD else f"{text[: _MOST_TOLD - 3]}..."
