"""The upstream that settings name, and settings that name none."""

from __future__ import annotations

from typing import Any

import pytest

from rules.errors import WardlawError
from server.upstreams.opening import open_upstream
from server.upstreams.settings import UpstreamSettings

DIALECTS = ("chat_completions", "messages", "responses")


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
async def test_an_address_is_opened_without_being_asked(kind: Any, fake_upstream: Any) -> None:
    upstream = open_upstream(UpstreamSettings(url=f"{fake_upstream.url}/", kind=kind))
    assert upstream.identity == f"{kind}:{fake_upstream.url}"
    assert upstream.speaks("messages" if kind == "anthropic" else "chat_completions")
    assert fake_upstream.seen() == []
    await upstream.close()


async def test_a_local_model_is_opened_by_its_name(tmp_path: Any) -> None:
    script = tmp_path / "answers.yaml"
    script.write_text("default: {text: Fine.}")
    upstream = open_upstream(UpstreamSettings(model=f"scripted:{script}"))
    body = {"messages": [{"role": "user", "content": "Hello"}]}
    answered = await upstream.ask("chat_completions", body, {})
    assert answered.data["choices"][0]["message"]["content"] == "Fine."
    await upstream.close()
    assert not await upstream.ready()


async def test_a_pool_of_servers_answers_whole_and_streamed_and_shows_no_address(fake_upstream: Any) -> None:
    name = f"pool:{fake_upstream.url},http://127.0.0.1:9/v1#mock?health=0.2"
    upstream = open_upstream(UpstreamSettings(model=name))
    body = {"messages": [{"role": "user", "content": "Hello"}]}
    answered = await upstream.ask("chat_completions", body, {})
    assert answered.data["choices"][0]["message"]["content"]
    async with upstream.stream("chat_completions", body | {"stream": True}, {}) as (_, coming):
        events = [event async for event in coming]
    assert events[-1].kind == "done"
    _, listed, _ = await upstream.passed("GET", "/v1/models", None, {})
    assert b'"mock"' in listed
    assert b"127.0.0.1" not in listed + answered.body
    await upstream.close()


@pytest.mark.parametrize(
    ("settings", "says", "hint"),
    [
        ({}, "no upstream is given", "upstream.url"),
        ({"url": "http://127.0.0.1/v1", "model": "embedded"}, "both", "keep the one"),
        ({"url": "http://host/v1 x"}, "is no address", "http://host:port/v1"),
        ({"url": f"http://{'a' * 80}.example/v1"}, "is no address", "http://host:port/v1"),
        ({"url": "http://host/v1/chat/completions"}, "one endpoint", "write `http://host/v1`"),
        ({"model": "ggfu:x"}, "unknown kind of model", "gguf"),
        ({"model": "gguf:nowhere.gguf"}, "no model file", ""),
    ],
)
def test_settings_that_name_no_upstream_say_what_to_do(settings: Any, says: str, hint: str) -> None:
    with pytest.raises(WardlawError, match=says) as caught:
        open_upstream(UpstreamSettings(**settings))
    assert hint in caught.value.hint
    assert caught.value.hint
