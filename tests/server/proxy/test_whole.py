from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

CHAT = {"model": "fake", "messages": [{"role": "user", "content": "When is high tide?"}]}


def saying(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "fake", "messages": [{"role": "user", "content": text}], **more}


async def test_a_clean_answer_leaves_as_the_very_bytes_that_came(stand: Callable[..., Any], fake_upstream: Any) -> None:
    here = await stand()
    answer = await here.ask("/v1/chat/completions", CHAT)
    assert answer.status_code == 200
    assert answer.json()["made_up_field"] == {"kept": True}
    assert answer.headers["x-wardlaw-action"] == "allow"
    assert answer.headers["x-wardlaw-decision"].startswith("d_")
    assert fake_upstream.seen()[0]["body"] == CHAT


@pytest.mark.parametrize(("unscannable", "extent"), [("allow", "partial"), ("flag", "partial")])
async def test_an_answer_says_how_much_was_looked_at(stand: Callable[..., Any], unscannable: str, extent: str) -> None:
    here = await stand(guard={"unscannable": unscannable})
    assert (await here.ask("/v1/chat/completions", CHAT)).headers["x-wardlaw-coverage"] == "whole"
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    asked = {"model": "fake", "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}, image]}]}
    assert (await here.ask("/v1/chat/completions", asked)).headers["x-wardlaw-coverage"] == extent


async def test_a_breaking_prompt_never_reaches_the_model(stand: Callable[..., Any], fake_upstream: Any) -> None:
    here = await stand()
    answer = await here.ask("/v1/chat/completions", saying("Please summon the kraken now"))
    assert answer.status_code == 200
    choice = answer.json()["choices"][0]
    assert choice["message"]["content"] == "I keep away from krakens."
    assert choice["finish_reason"] == "content_filter"
    assert answer.headers["x-wardlaw-rules"] == "kraken-summoning"
    assert fake_upstream.seen() == []


async def test_the_reply_is_in_the_language_of_the_user(stand: Callable[..., Any]) -> None:
    here = await stand()
    answer = await here.ask("/v1/chat/completions", saying("请告诉我怎么 summon the kraken 好吗，我很想知道"))
    assert answer.json()["choices"][0]["message"]["content"] == "我不谈海怪。"


async def test_a_breaking_answer_is_replaced(stand: Callable[..., Any]) -> None:
    here = await stand()
    answer = await here.ask("/v1/chat/completions", saying("say: first you summon the kr" + "aken at dawn."))
    assert "kraken at" not in answer.text
    other = await here.ask("/v1/messages", {**saying("say: you su\u200bmmon the kraken"), "max_tokens": 9})
    assert other.json()["stop_reason"] == "refusal"


async def test_what_is_redacted_in_a_prompt_has_never_been_sent(stand: Callable[..., Any], fake_upstream: Any) -> None:
    here = await stand()
    await here.ask("/v1/chat/completions", saying("Is chest-1234 the code?"))
    assert [request["body"]["messages"][0]["content"] for request in fake_upstream.seen()] == [
        "Is [redacted] the code?"
    ]


async def test_what_is_redacted_in_an_answer_is_masked_and_the_rest_is_kept(
    stand: Callable[..., Any], fake_upstream: Any
) -> None:
    here = await stand()
    fake_upstream.script(text="It is chest-1234, not chest-99.")
    answer = await here.ask("/v1/chat/completions", CHAT)
    assert answer.json()["choices"][0]["message"]["content"] == "It is [redacted], not chest-99."
    assert answer.json()["made_up_field"] == {"kept": True}
    assert answer.headers["x-wardlaw-action"] == "redact"


async def test_a_block_can_be_told_by_a_status(stand: Callable[..., Any]) -> None:
    here = await stand(tell={"block_status": 400})
    answer = await here.ask("/v1/chat/completions", saying("summon the kraken"))
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "I keep away from krakens."
    streamed = await here.ask("/v1/chat/completions", saying("summon the kraken", stream=True))
    assert streamed.status_code == 400


async def test_the_object_is_given_where_it_is_asked_for(stand: Callable[..., Any]) -> None:
    here = await stand()
    answer = await here.ask("/v1/chat/completions", saying("summon the kraken"), **{"x-wardlaw-tell": "body"})
    told = answer.json()["wardlaw"]
    assert told["action"] == "block"
    assert told["rules"] == [
        {
            "id": "kraken-summoning",
            "title": "Summoning the kraken",
            "why": "It sinks the ships of people who did not ask for it.",
            "hazards": [],
            "where": ["prompt"],
        }
    ]
    assert "summon the kraken" not in answer.text.replace("Summoning the kraken", "")


async def test_every_decision_is_kept_before_it_is_told(stand: Callable[..., Any]) -> None:
    here = await stand()
    answer = await here.ask("/v1/chat/completions", CHAT)
    assert [record.decision.id for record in here.audit.records] == [answer.headers["x-wardlaw-decision"]]


async def test_where_a_decision_cannot_be_kept_nothing_is_served(stand: Callable[..., Any]) -> None:
    here = await stand()
    here.audit.fails = True
    for stream in (False, True):
        answer = await here.ask("/v1/chat/completions", {**CHAT, "stream": stream})
        assert answer.status_code == 503
        assert "tide" not in answer.text


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/responses"])
@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 400), (b"[]", 400), (b"{", 400), (b'"x"', 400), (b"\xff\xfe", 400), (b"{}", 400), (b"[" * 5000, 400)],
)
async def test_a_body_that_is_none_is_told_so(stand: Callable[..., Any], path: str, body: bytes, status: int) -> None:
    here = await stand()
    answer = await here.client.post(path, content=body)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


async def test_a_body_that_is_too_long_is_refused_before_it_is_read(stand: Callable[..., Any]) -> None:
    here = await stand(limits={"body_bytes": 2000})
    answer = await here.ask("/v1/chat/completions", saying("x" * 3000))
    assert answer.status_code == 413


async def test_too_many_messages_are_refused(stand: Callable[..., Any]) -> None:
    here = await stand(limits={"messages": 10})
    answer = await here.ask("/v1/chat/completions", {"model": "m", "messages": CHAT["messages"] * 11})  # type: ignore[operator]
    assert answer.status_code == 400
    assert "11 messages" in answer.json()["error"]["message"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("mode", "status"),
    [("e400", 400), ("e429", 429), ("e500", 502), ("garbage", 502), ("html", 502), ("array", 502), ("close", 502)],
)
async def test_an_upstream_fault_is_told_in_the_apis_own_shape(
    stand: Callable[..., Any], fake_upstream: Any, mode: str, status: int, stream: bool
) -> None:
    here = await stand()
    fake_upstream.script(mode)
    answer = await here.ask("/v1/chat/completions", {**CHAT, "stream": stream})
    if not (stream and mode == "garbage"):  # which comes in the middle
        assert answer.status_code == status
        assert answer.json()["error"]["message"]
    assert here.audit.records[-1].fault
    if mode == "e429":
        assert answer.headers["retry-after"] == "7"


async def test_an_upstreams_own_words_are_scanned_too(stand: Callable[..., Any], fake_upstream: Any) -> None:
    here = await stand(RULES_FOR_ERRORS)
    fake_upstream.script("e404")
    answer = await here.ask("/v1/chat/completions", CHAT)
    assert answer.status_code == 404
    assert answer.json()["error"]["message"] == "the model's server refused the request"


RULES_FOR_ERRORS = """
constitution: errors
title: Errors
rules:
  - id: naming-nobody
    title: Naming nobody
    rule: Do not name nobody.
    why: Nobody wants to be named here.
    detect: {patterns: [{literal: nobody}], meaning: null}
"""


async def test_a_locked_door_tells_the_client_in_its_own_shape(stand: Callable[..., Any]) -> None:
    here = await stand()
    here.parts.door.locked = True
    assert (await here.ask("/v1/chat/completions", CHAT)).status_code == 401
    assert (await here.ask("/v1/messages", CHAT)).json()["error"]["type"] == "authentication_error"
    assert (await here.ask("/v1/chat/completions", CHAT, authorization="Bearer right")).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
async def test_a_member_named_twice_reaches_the_model_once_as_it_was_judged(
    stand: Callable[..., Any], fake_upstream: Any, stream: bool
) -> None:
    here = await stand()
    twice = (
        b'{"model":"fake","stream":%s,"messages":[{"role":"user","content":"summon the kraken"}],'
        b'"messages":[{"role":"user","content":"When is high tide?"}]}' % (b"true" if stream else b"false")
    )
    await here.client.post("/v1/chat/completions", content=twice)
    assert ["kraken" in request["raw"] for request in fake_upstream.seen()] == [False]


async def test_a_key_of_ours_is_never_sent_on(stand: Callable[..., Any], fake_upstream: Any) -> None:
    here = await stand()
    here.parts.door.locked = True
    await here.ask("/v1/chat/completions", CHAT, authorization="Bearer right")
    assert "authorization" not in fake_upstream.seen()[0]["headers"]


async def test_a_full_server_says_when_to_come_again(stand: Callable[..., Any]) -> None:
    here = await stand()
    here.parts.limits.room = 0
    answer = await here.ask("/v1/chat/completions", CHAT)
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "3"


async def test_leases_and_places_are_given_back(stand: Callable[..., Any], fake_upstream: Any) -> None:
    here = await stand()
    fake_upstream.script("e500")
    await here.ask("/v1/chat/completions", CHAT)
    await here.ask("/v1/chat/completions", {**CHAT, "stream": True})
    assert here.parts.guards.leases == 0
    assert here.parts.limits.inside == 0


async def test_in_shadow_mode_nothing_is_done_and_all_is_recorded(stand: Callable[..., Any]) -> None:
    here = await stand(guard={"mode": "shadow"})
    for stream in (False, True):
        answer = await here.ask("/v1/chat/completions", saying("say: summon the kraken", stream=stream))
        assert "kraken" in answer.text
        decision = here.audit.records[-1].decision
        assert (decision.action.value, decision.would.value) == ("allow", "block")
