"""The guarded model as the one that mends answers, before a real model server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from guard.exchange import Message
from guard.models.base import Ask, ChatModel, ModelError, ModelUnavailable, Sampling
from server.revising import UpstreamModel
from server.upstreams.base import Upstream
from server.upstreams.opening import open_upstream
from server.upstreams.settings import UpstreamSettings

ASK = Ask((Message("system", "Be short."), Message("user", "say: aye")), Sampling(0.0, 1.0, 20, 7, ("\n",)))


@pytest.fixture
async def upstream(fake_upstream: Any) -> AsyncIterator[Upstream]:
    opened = open_upstream(UpstreamSettings(url=fake_upstream.url))
    yield opened
    await opened.close()


async def test_it_asks_the_upstream_for_a_whole_answer(upstream: Upstream, fake_upstream: Any) -> None:
    model = UpstreamModel(upstream, "fake")
    assert isinstance(model, ChatModel)
    reply = await model.chat(ASK)
    assert (reply.text, reply.finish) == ("aye", "stop")
    assert reply.usage.completion > 0
    [seen] = fake_upstream.seen()
    body = seen["body"]
    assert [each["role"] for each in body["messages"]] == ["system", "user"]
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("fake", 0.0, 20)
    assert (body["seed"], body["stop"]) == (7, ["\n"])
    assert model.identity == f"{upstream.identity}#fake"


async def test_a_schema_is_handed_on(upstream: Upstream, fake_upstream: Any) -> None:
    await UpstreamModel(upstream, "fake").chat(Ask(ASK.messages, schema={"type": "object"}))
    [seen] = fake_upstream.seen()
    assert seen["body"]["response_format"]["json_schema"]["schema"] == {"type": "object"}


async def test_without_a_name_the_upstreams_first_model_is_asked(upstream: Upstream, fake_upstream: Any) -> None:
    model = UpstreamModel(upstream)
    await model.chat(ASK)
    await model.chat(ASK)
    seen = fake_upstream.seen()
    assert len([request for request in seen if request["path"].endswith("/models")]) == 1
    assert seen[-1]["body"]["model"]


@pytest.mark.parametrize(("mode", "kind"), [("e500", ModelUnavailable), ("garbage", ModelUnavailable)])
async def test_an_upstream_that_fails_is_told_as_a_model_that_does(
    upstream: Upstream, fake_upstream: Any, mode: str, kind: type[ModelError]
) -> None:
    fake_upstream.script(mode)
    with pytest.raises(kind):
        await UpstreamModel(upstream, "fake").chat(ASK)
