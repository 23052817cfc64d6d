from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from guard.window.outcomes import Channel

PATHS = ["/v1/chat/completions", "/v1/messages", "/v1/responses"]
SECRET = "and so you summon the kraken from the deep"


def body(path: str, text: str = "When is high tide?", **more: Any) -> dict[str, Any]:
    if path.endswith("responses"):
        return {"model": "fake", "input": text, "stream": True, **more}
    asked = {"model": "fake", "messages": [{"role": "user", "content": text}], "stream": True, **more}
    return asked | {"max_tokens": 99} if path.endswith("messages") else asked


def events(raw: str) -> list[dict[str, Any]]:
    lines = [line[6:] for line in raw.split("\n") if line.startswith("data: ") and line != "data: [DONE]"]
    return [json.loads(line) for line in lines]


def text_of(raw: str) -> str:
    said = ""
    for event in events(raw):
        for choice in event.get("choices", []):
            said += choice["delta"].get("content") or ""
        if event.get("type") == "content_block_delta":
            said += event["delta"].get("text", "")
        if event.get("type") == "response.output_text.delta":
            said += event["delta"]
    return said


@pytest.mark.parametrize("path", PATHS)
async def test_a_clean_stream_says_what_the_model_said(
    stand: Callable[..., Any], fake_upstream: Any, path: str
) -> None:
    here = await stand()
    answer = await here.ask(path, body(path))
    assert text_of(answer.text) == "The tide comes in twice a day, and the harbour fills with small boats."
    assert answer.headers["content-type"].startswith("text/event-stream")
    kept = [record.decision.complete for record in here.audit.records]
    assert kept == [False, True]


@pytest.mark.parametrize("mode", ["ok", "one_byte", "crlf", "comments"])
@pytest.mark.parametrize("path", PATHS)
async def test_nothing_of_a_banned_phrase_leaves_however_it_is_cut(
    stand: Callable[..., Any], fake_upstream: Any, path: str, mode: str
) -> None:
    here = await stand()
    fake_upstream.script(mode, text=f"The sea is calm. {SECRET}, they say.")
    answer = await here.ask(path, body(path))
    said = text_of(answer.text)
    before, _, reply = said.rpartition("I keep away")
    # what had come together with the phrase is dropped with it
    assert "The sea is calm. and so you".startswith(before.strip())
    assert reply == " from krakens."
    assert "they say" not in answer.text
    assert here.audit.records[-1].decision.action.value == "block"


@pytest.mark.parametrize("channel", ["reasoning", "refusal", "arguments"])
@pytest.mark.parametrize("stream", [True, False])
async def test_every_channel_is_scanned(
    stand: Callable[..., Any], fake_upstream: Any, channel: str, stream: bool
) -> None:
    here = await stand()
    value = json.dumps({"q": SECRET}) if channel == "arguments" else SECRET
    fake_upstream.script(text="All is well.", **{channel: value})
    answer = await here.ask("/v1/chat/completions", body("/v1/chat/completions", stream=stream))
    assert "the kraken from" not in answer.text
    assert "content_filter" in answer.text


async def test_a_second_choice_is_scanned_and_the_first_goes_on(stand: Callable[..., Any], fake_upstream: Any) -> None:
    here = await stand()
    answer = await here.ask("/v1/chat/completions", body("/v1/chat/completions", f"say: Well. {SECRET} here", n=2))
    assert "kraken from" not in answer.text
    ends = [c["finish_reason"] for e in events(answer.text) for c in e["choices"] if c.get("finish_reason")]
    assert ends == ["content_filter", "content_filter"]
    assert answer.text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("mode", ["ok", "one_byte"])
async def test_what_is_redacted_in_a_stream_is_masked_in_place(
    stand: Callable[..., Any], fake_upstream: Any, path: str, mode: str
) -> None:
    here = await stand()
    fake_upstream.script(mode, text="First chest-1234 and then chest-5678, not chest-9.")
    answer = await here.ask(path, body(path))
    assert text_of(answer.text) == "First [redacted] and then [redacted], not chest-9."


async def test_usage_and_log_probabilities_come_through(stand: Callable[..., Any], fake_upstream: Any) -> None:
    here = await stand()
    asked = body("/v1/chat/completions", stream_options={"include_usage": True})
    answer = await here.ask("/v1/chat/completions", asked)
    assert events(answer.text)[-1]["usage"]["total_tokens"] > 0


@pytest.mark.parametrize("mode", ["cut", "no_end", "garbage", "error_event"])
@pytest.mark.parametrize("path", PATHS)
async def test_a_stream_that_breaks_says_so_in_its_apis_shape(
    stand: Callable[..., Any], fake_upstream: Any, path: str, mode: str
) -> None:
    here = await stand()
    fake_upstream.script(mode, text=f"The sea is calm and wide, and nobody minds the wind today. {SECRET}")
    answer = await here.ask(path, body(path))
    assert "error" in answer.text
    assert "kraken" not in answer.text
    assert here.audit.records[-1].fault


@pytest.mark.parametrize("path", PATHS)
async def test_a_whole_answer_to_a_stream_is_judged_and_told_as_a_stream(
    stand: Callable[..., Any], fake_upstream: Any, path: str
) -> None:
    here = await stand()
    fake_upstream.script("not_a_stream")
    answer = await here.ask(path, body(path))
    assert text_of(answer.text).startswith("The tide")
    fake_upstream.script("not_a_stream", text=SECRET)
    assert "summon" not in (await here.ask(path, body(path))).text


async def test_the_object_comes_with_the_last_event(stand: Callable[..., Any]) -> None:
    here = await stand()
    for path in PATHS:
        answer = await here.ask(path, body(path, f"say: Calm. {SECRET}"), **{"x-wardlaw-tell": "body"})
        holders = [event.get("response", event) for event in events(answer.text)]
        told = [holder["wardlaw"] for holder in holders if "wardlaw" in holder]
        assert [each["action"] for each in told] == ["block"]


async def test_a_client_that_leaves_ends_the_upstreams_work(stand: Callable[..., Any], fake_upstream: Any) -> None:
    here = await stand()
    fake_upstream.script("endless", delay=0.02)
    path = "/v1/chat/completions"
    async with here.client.stream("POST", path, json=body(path)) as answer:
        async for _ in answer.aiter_raw():
            break
    left = await asyncio.to_thread(fake_upstream.gone)
    assert left
    for _ in range(100):
        if here.audit.records[-1].fault == "client_gone":
            break
        await asyncio.sleep(0.02)
    assert here.audit.records[-1].fault == "client_gone"
    assert here.parts.guards.leases == 0


async def test_a_client_that_leaves_while_a_whole_answer_is_awaited_ends_the_upstreams_work(
    stand: Callable[..., Any], fake_upstream: Any
) -> None:
    here = await stand()
    fake_upstream.script("hang")
    began = time.time()
    with pytest.raises(httpx.ReadTimeout):
        await here.client.post("/v1/chat/completions", json=body("", stream=False), timeout=0.4)
    left = await asyncio.to_thread(fake_upstream.gone)
    assert left[0]["gone_at"] - began < 10


async def test_what_a_client_was_sent_before_it_left_is_kept(stand: Callable[..., Any], fake_upstream: Any) -> None:
    here = await stand(audit={"content": "full"})
    fake_upstream.script("hang_mid", text="The harbour is quiet this morning, and boats lie in a row at the quay.")
    path, said = "/v1/chat/completions", ""
    async with here.client.stream("POST", path, json=body(path)) as answer:
        async for piece in answer.aiter_text():
            said += piece
            if text_of(said).startswith("The harbour is"):
                break
    async with asyncio.timeout(10):
        while here.audit.records[-1].fault != "client_gone":  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    (texts,) = here.audit.records[-1].answers
    assert texts[Channel("text")].startswith(text_of(said))


async def test_a_client_that_reads_nothing_holds_its_place_no_longer_than_a_request_may_take(
    stand: Callable[..., Any], fake_upstream: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.proxy.endpoint.LAST_WORDS_S", 0.2)
    here = await stand(limits={"seconds": 4})
    fake_upstream.script("endless", text="The harbour is quiet this morning. " * 2000)
    path = "/v1/chat/completions"
    asked = json.dumps(body(path)).encode()
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        await loop.sock_connect(client, ("127.0.0.1", int(here.url.rpartition(":")[2])))
        head = f"POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {len(asked)}\r\n\r\n".encode()
        await loop.sock_sendall(client, head + asked)
        async with asyncio.timeout(20):
            while not here.parts.limits.inside:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            while here.parts.limits.inside:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    assert here.audit.records[-1].fault == "timeout"
    assert here.parts.guards.leases == 0


async def test_the_first_words_do_not_wait_for_the_last(stand: Callable[..., Any], fake_upstream: Any) -> None:
    here = await stand()
    fake_upstream.script("hang_mid", text="The harbour is quiet this morning, and boats lie in a row at the quay.")
    path = "/v1/chat/completions"
    said = ""
    async with here.client.stream("POST", path, json=body(path)) as answer:
        async for piece in answer.aiter_text():
            said += piece
            if text_of(said).startswith("The harbour is"):
                break
    assert text_of(said).startswith("The harbour is")


@pytest.mark.parametrize("path", PATHS)
async def test_an_answer_does_not_wait_for_the_last_word_of_its_reasoning(
    stand: Callable[..., Any], fake_upstream: Any, path: str
) -> None:
    here = await stand()
    text = "Well then, the tide comes in at six in the morning and again in the evening, as the table says. " * 4
    fake_upstream.script("hang_mid", reasoning="They want to summon", text=text)
    said = ""
    async with here.client.stream("POST", path, json=body(path)) as answer:
        async for piece in answer.aiter_text():
            said += piece
            if text_of(said).startswith("Well then"):
                break
    assert text_of(said).startswith("Well then")


async def test_the_official_stream_helper_of_messages_keeps_the_object(stand: Callable[..., Any]) -> None:
    from anthropic import AsyncAnthropic

    here = await stand(tell={"body": "always"})
    async with (
        AsyncAnthropic(base_url=here.url, api_key="none", max_retries=0) as client,
        client.messages.stream(
            model="fake", max_tokens=99, messages=[{"role": "user", "content": "summon the kraken"}]
        ) as stream,
    ):
        told = [event async for event in stream]
        final = await stream.get_final_message()
    assert final.stop_reason == "refusal"
    notes = [note for event in told if (note := getattr(event, "wardlaw", None))]
    assert [note["action"] for note in notes] == ["block"]
