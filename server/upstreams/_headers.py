"""Which headers go to an upstream and come back from it: a list of what may, so that nothing else can."""

from __future__ import annotations

from collections.abc import Mapping

from guard.models._refusals import retry_after

_THERE = (
    "idempotency-key",
    "traceparent",
    "tracestate",
    "user-agent",
    "x-client-request-id",
    "x-request-id",
)
_THERE_OF_KIND = {
    "openai": ("openai-beta", "openai-organization", "openai-project"),
    "anthropic": ("anthropic-beta", "anthropic-version", "anthropic-dangerous-direct-browser-access"),
}
_CREDENTIALS = {"openai": ("authorization", "api-key"), "anthropic": ("x-api-key", "authorization")}

_BACK = frozenset(
    {
        "anthropic-organization-id",
        "cf-ray",
        "openai-organization",
        "openai-processing-ms",
        "openai-version",
        "request-id",
        "retry-after",
        "retry-after-ms",
        "x-request-id",
        "x-should-retry",
    }
)
_BACK_STARTS = ("x-ratelimit-", "anthropic-ratelimit-")

_LONGEST_WAIT_S = 3600.0
ANTHROPIC_VERSION = "2023-06-01"
"""What an Anthropic upstream is told where the client names no version: there is no later one."""


def names_there(kind: str, *, own_key: bool) -> tuple[str, ...]:
    """The names of a client's headers that an upstream gets; its credentials only where the server has no key."""
    return (*_THERE, *_THERE_OF_KIND[kind], *(() if own_key else _CREDENTIALS[kind]))


def back(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of an answer that a client may see, names in lower case."""
    kept = {}
    for name, value in headers.items():
        name = name.lower()
        if name in _BACK or name.startswith(_BACK_STARTS):
            kept[name] = value
    return kept


def wait_of(headers: Mapping[str, str]) -> float | None:
    """Seconds that an answer asks to wait, from 0 to an hour."""
    seconds = retry_after(headers)
    return None if seconds is None else min(seconds, _LONGEST_WAIT_S)
