"""An HTTP upstream before the model server of the folder above."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from server.upstreams.base import Event
from server.upstreams.http import HttpUpstream
from server.upstreams.settings import UpstreamSettings

BODIES: dict[str, dict[str, Any]] = {
    "chat_completions": {"model": "fake", "messages": [{"role": "user", "content": "When is high tide?"}]},
    "messages": {
        "model": "fake",
        "max_tokens": 64,
        "messages": [{"role": "user", "content": "When is high tide?"}],
    },
    "responses": {"model": "fake", "input": "When is high tide?"},
}


@pytest.fixture
def bodies() -> dict[str, dict[str, Any]]:
    """A request in each dialect."""
    return {name: dict(body) for name, body in BODIES.items()}


@pytest.fixture
async def http(fake_upstream: Any) -> AsyncIterator[Callable[..., HttpUpstream]]:
    """Opens upstreams before the fake one: `http(first_s=0.2)`."""
    opened: list[HttpUpstream] = []

    def make(**settings: Any) -> HttpUpstream:
        usual = {"url": fake_upstream.url, "apis": ("chat_completions", "messages", "responses")}
        opened.append(HttpUpstream(UpstreamSettings.model_validate(usual | settings)))
        return opened[-1]

    yield make
    for upstream in opened:
        await upstream.close()


@pytest.fixture
def read() -> Callable[..., Any]:
    """All events of a stream."""

    async def events(upstream: Any, dialect: str, body: dict[str, Any], **headers: str) -> list[Event]:
        async with upstream.stream(dialect, body | {"stream": True}, headers) as (_, coming):
            return [event async for event in coming]

    return events
