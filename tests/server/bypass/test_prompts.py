"""The matrix of prompts: whatever place of a request a forbidden phrase stands in, none of it reaches the model."""

from __future__ import annotations

import pytest

from tests.server.bypass.answering import CLEAN, Json, chat, message_item, messages, output, responses, text
from tests.server.bypass.asking import OLD, PROMPTS
from tests.server.bypass.standing import (
    FILTERED,
    PHRASES,
    RULE_IDS,
    TELLING,
    TITLE,
    WAYS,
    Got,
    Stand,
    Stands,
    spoken,
)

ANSWER = {
    "chat_completions": chat({"content": CLEAN}),
    "messages": messages(text(CLEAN)),
    "responses": responses(message_item(output(CLEAN))),
}


def cells(places: dict[str, dict]) -> list:
    return [
        pytest.param(
            place,
            api,
            upstream,
            stream,
            marks=() if upstream == "native" else pytest.mark.slow,
            id=f"{place} of {api} asked for {'a stream' if stream else 'a whole answer'} before an upstream {upstream}",
        )
        for place, by_api in places.items()
        for api, upstream in WAYS
        if api in by_api
        for stream in ((False, True) if upstream == "native" else (False,))  # prompts are judged before they translate
    ]


def asked(stand: Stand, api: str, upstream: str, body: Json, *, stream: bool) -> Got:
    """The answer to a request, before a model that says something harmless."""
    stand.answers(ANSWER[spoken(api, upstream)], stream=stream)
    return stand.ask(api, body, stream=stream)


@pytest.mark.parametrize(("place", "api", "upstream", "stream"), cells(PROMPTS))
def test_a_phrase_that_is_new_is_answered_by_the_guard_alone(
    stands: Stands, when: str, place: str, api: str, upstream: str, stream: bool
) -> None:
    stand = stands(upstream, when)
    got = asked(stand, api, upstream, PROMPTS[place][api](PHRASES[when]), stream=stream)
    assert stand.fake.seen() == []
    assert CLEAN not in got.texts
    assert FILTERED[api] in got.ending, got.raw.decode()
    assert TITLE.lower() in got.texts.lower()
    decision = stand.decision(got)
    assert (decision["action"], decision["streamed"]) == ("block", stream)
    assert [rule["id"] for rule in decision["rules"]] == [RULE_IDS[when]]
    assert got.headers["x-wardlaw-rules"] == RULE_IDS[when]


@pytest.mark.parametrize(("place", "api", "upstream", "stream"), cells(OLD))
def test_a_phrase_that_is_old_is_withheld_and_the_conversation_goes_on(
    stands: Stands, when: str, place: str, api: str, upstream: str, stream: bool
) -> None:
    stand = stands(upstream, when)
    got = asked(stand, api, upstream, OLD[place][api](PHRASES[when]), stream=stream)
    assert len(stand.fake.seen()) == 1, got.raw.decode()
    assert stand.reached(*TELLING[when]) == []
    assert CLEAN in got.texts
    decision = stand.decision(got)
    assert decision["withheld"]
    assert {each["rule"] for each in decision["findings"]} == {RULE_IDS[when]}


@pytest.mark.parametrize(("place", "api", "upstream", "stream"), cells({**PROMPTS, **OLD}))
def test_a_harmless_text_in_the_same_place_is_answered_by_the_model(
    stands: Stands, place: str, api: str, upstream: str, stream: bool
) -> None:
    stand = stands(upstream)
    got = asked(stand, api, upstream, {**PROMPTS, **OLD}[place][api]("row to the lighthouse"), stream=stream)
    if (place, api, upstream) == ("a beginning of the answer", "messages", "of chat completions"):
        assert got.status == 400  # there are no words for it
        return
    assert got.status == 200, got.raw.decode()
    assert stand.decision(got)["action"] == "allow"
    assert len(stand.fake.seen()) == 1
    assert CLEAN in got.texts
