"""Faults that nobody foresaw, in each part: the client is told in its API's shape, and nothing unscanned leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from server.dialects.chat_completions import DIALECT as CHAT
from server.settings import ServerSettings

ASKED = {"model": "fake", "messages": [{"role": "user", "content": "When is high tide?"}]}
SECRET = "words of a client"


async def broken(*_: Any, **__: Any) -> Any:
    raise LookupError(SECRET)


def breaking(*_: Any, **__: Any) -> Any:
    raise KeyError(SECRET)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
async def test_an_audit_that_breaks_lets_no_answer_out(
    stand: Callable[..., Any], caplog: pytest.LogCaptureFixture, path: str, stream: bool
) -> None:
    here = await stand()
    here.audit.keep = broken
    answer = await here.ask(path, {**ASKED, "max_tokens": 9, "stream": stream})
    assert answer.status_code == 500
    assert answer.json()["error"]["message"] == "the server failed on this request"
    assert "x-wardlaw-decision" not in answer.headers
    assert SECRET not in answer.text + caplog.text
    assert here.telemetry.failures == ["internal"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_gate_that_breaks_lets_no_answer_out_and_the_decision_is_kept(
    stand: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    here = await stand()
    monkeypatch.setattr("guard.guard.Watch.admit", broken)
    answer = await here.ask("/v1/chat/completions", {**ASKED, "stream": stream})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert [(record.status, record.fault) for record in here.audit.records] == [(500, "internal")]
    assert here.parts.guards.leases == 0
    assert here.parts.limits.inside == 0


@pytest.mark.parametrize("method", ["read", "prepared", "answers"])
async def test_a_dialect_that_breaks_is_told_in_its_own_shape(
    stand: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    here = await stand()
    monkeypatch.setattr(type(CHAT), method, breaking)
    answer = await here.ask("/v1/chat/completions", ASKED)
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert SECRET not in answer.text + caplog.text
    assert here.parts.limits.inside == 0


async def test_the_words_of_an_upstream_that_cannot_be_judged_do_not_leave(
    stand: Callable[..., Any], fake_upstream: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = await stand()
    fake_upstream.script("e400")
    assert "too few of them" in (await here.ask("/v1/chat/completions", ASKED)).text
    monkeypatch.setattr("guard.guard.Watch.rule", broken)
    answer = await here.ask("/v1/chat/completions", ASKED)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "the model's server refused the request"


@pytest.mark.parametrize("mode", ["e500", "garbage", "html", "redirect", "close"])
@pytest.mark.parametrize("stream", [False, True])
async def test_the_upstreams_address_is_for_the_log_and_not_for_clients(
    stand: Callable[..., Any], fake_upstream: Any, caplog: pytest.LogCaptureFixture, mode: str, stream: bool
) -> None:
    here = await stand()
    fake_upstream.script(mode)
    answer = await here.ask("/v1/chat/completions", {**ASKED, "stream": stream})
    assert answer.status_code == 502
    assert "the upstream" in answer.text
    assert "127.0.0.1" not in answer.text
    assert fake_upstream.url in caplog.text


async def test_a_stream_that_the_upstream_breaks_off_is_in_the_log_with_its_address(
    stand: Callable[..., Any], fake_upstream: Any, caplog: pytest.LogCaptureFixture
) -> None:
    here = await stand()
    fake_upstream.script("cut")
    answer = await here.ask("/v1/chat/completions", {**ASKED, "stream": True})
    assert answer.status_code == 200
    assert "the upstream broke off its stream" in answer.text
    assert "127.0.0.1" not in answer.text
    assert f"{fake_upstream.url}: the upstream broke off its stream" in caplog.text


async def test_a_decision_that_is_not_kept_is_counted_and_not_named(
    stand: Callable[..., Any], fake_upstream: Any
) -> None:
    here = await stand()
    here.audit.fails = True
    assert (await here.ask("/v1/chat/completions", ASKED)).status_code == 503
    fake_upstream.script("e500")
    answer = await here.ask("/v1/chat/completions", ASKED)
    assert answer.status_code in (500, 502)
    assert "x-wardlaw-decision" not in answer.headers
    assert here.telemetry.failures == ["overloaded", "upstream"]


async def test_reasoning_and_arguments_count_as_characters_of_a_conversation(stand: Callable[..., Any]) -> None:
    here = await stand(limits={"text_chars": 200})
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": "' + 200 * "x" + '"}'}}
    messages = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "done"},
    ]
    answer = await here.ask("/v1/chat/completions", {"model": "fake", "messages": messages})
    assert answer.status_code == 400
    assert "more than 200 characters" in answer.text


def test_a_status_for_blocks_is_200_or_an_error_of_the_client() -> None:
    for status in (200, 400, 451, 499):
        assert ServerSettings.model_validate({"tell": {"block_status": status}}).tell.block_status == status
    for status in (199, 204, 304, 500):
        with pytest.raises(ValueError, match="block_status"):
            ServerSettings.model_validate({"tell": {"block_status": status}})
