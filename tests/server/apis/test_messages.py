"""What is Anthropic's own about the Messages routes, in the whole application."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.server.test_app import keys, start

__all__ = ["start"]

MESSAGES = [{"role": "user", "content": "When is high tide?"}]


@pytest.mark.parametrize(
    ("given", "says"), [({}, "is needed"), ({"max_tokens": 0}, "at least 1"), ({"max_tokens": True}, "whole number")]
)
async def test_a_message_without_a_bound_is_refused_as_the_api_does(
    start: Callable[..., Any], fake_upstream: Any, given: dict[str, Any], says: str
) -> None:
    running = await start()
    answer = await running.client.post("/v1/messages", json={"model": "fake", "messages": MESSAGES, **given})
    assert answer.status_code == 400
    told = answer.json()
    assert (told["type"], told["error"]["type"]) == ("error", "invalid_request_error")
    assert told["error"]["message"].startswith("max_tokens: ")
    assert says in told["error"]["message"]
    assert fake_upstream.seen() == []


async def test_tokens_that_the_upstream_cannot_count_are_not_found_in_words(
    start: Callable[..., Any], fake_upstream: Any
) -> None:
    fake_upstream.script("e404")
    running = await start()
    answer = await running.client.post("/v1/messages/count_tokens", json={"model": "fake", "messages": MESSAGES})
    assert answer.status_code == 404
    assert answer.json() == {
        "type": "error",
        "error": {"type": "not_found_error", "message": "the upstream behind this server cannot count tokens"},
    }


async def test_who_may_not_is_told_so_in_anthropics_types(start: Callable[..., Any], tmp_path: Path) -> None:
    _, reader = keys(tmp_path).add("a reader", scopes=["read"])
    running = await start(auth="keys")
    body = {"model": "fake", "max_tokens": 9, "messages": MESSAGES}
    for key, status, kind in (("sk-any", 401, "authentication_error"), (reader, 403, "permission_error")):
        for path in ("/v1/messages", "/v1/messages/count_tokens"):
            answer = await running.client.post(path, json=body, headers={"x-api-key": key})
            assert (answer.status_code, answer.json()["type"], answer.json()["error"]["type"]) == (
                status,
                "error",
                kind,
            )
