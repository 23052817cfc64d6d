"""The matrix of answers: whatever place of an answer a forbidden phrase stands in, none of it reaches the client."""

from __future__ import annotations

import pytest

from tests.server.bypass.answering import ANSWERS
from tests.server.bypass.asking import HELLO, chat, messages, responses, user
from tests.server.bypass.standing import (
    FILTERED,
    PHRASES,
    RULE_IDS,
    TITLE,
    WAYS,
    Stands,
    spoken,
    telling,
)

CELLS = [
    pytest.param(
        place,
        api,
        upstream,
        stream,
        id=f"{place} in {'a stream' if stream else 'a whole answer'} of {api} by an upstream {upstream}",
    )
    for place, by_api in ANSWERS.items()
    for api, upstream in WAYS
    if spoken(api, upstream) in by_api and not (place == "the second choice" and upstream != "native")
    for stream in (False, True)
]


def asked(api: str, place: str) -> dict:
    """A harmless request."""
    if api == "chat_completions":
        return chat(user(HELLO), **({"n": 2} if place == "the second choice" else {}))
    return messages(user(HELLO)) if api == "messages" else responses(HELLO)


UNSCANNABLE = {("an unknown kind of block", "chat_completions"), ("an unknown kind of block", "messages")}
"""Places of an API that no detector can read: the answer is withheld, and not by a rule."""

TO_MESSAGES, TO_RESPONSES = ("messages", "of chat completions"), ("responses", "of chat completions")
OF_MESSAGES = (("chat_completions", "of messages"), ("responses", "of messages"))
ALL = (TO_MESSAGES, TO_RESPONSES, *OF_MESSAGES)

LOST = {
    ("reasoning", False): (TO_MESSAGES,),
    ("reasoning", True): (TO_MESSAGES,),
    ("an unknown member of a message", False): ALL,
    ("an unknown member of a message", True): ALL,
    ("log-probabilities", False): (TO_MESSAGES,),
    ("log-probabilities", True): (TO_MESSAGES, TO_RESPONSES),
    ("annotations", False): (TO_MESSAGES, *OF_MESSAGES),
    ("annotations", True): ALL,
}
"""Place, and whether in a stream -> ways on which a translation has no words for it: nothing is left to withhold."""

FAULTS = {
    ("a tool result", False): OF_MESSAGES,
    ("a tool result", True): OF_MESSAGES,
    ("content parts", True): (TO_MESSAGES, TO_RESPONSES),
    ("an unknown kind of block", False): ALL,
    ("an unknown kind of block", True): ALL,
    ("the transcript of a voice", False): (TO_MESSAGES, TO_RESPONSES),
    ("the transcript of a voice", True): (TO_MESSAGES, TO_RESPONSES),
}
"""Likewise -> ways on which a translation refuses the answer, which is told as an error."""


DISGUISED = {
    "base64",
    "zero-width characters",
    "letters of another alphabet",
    "log-probabilities",
    "tool arguments with escaped letters",
    "tool arguments in chunks of one letter",
}
"""Places where a text cannot be looked for as it stands."""


@pytest.mark.parametrize(("place", "api", "upstream", "stream"), CELLS)
def test_nothing_of_it_leaves(stands: Stands, when: str, place: str, api: str, upstream: str, stream: bool) -> None:
    stand = stands(upstream, when)
    stand.answers(ANSWERS[place][spoken(api, upstream)](PHRASES[when]), stream=stream)
    got = stand.ask(api, asked(api, place), stream=stream)
    assert telling(got, when) == [], got.raw.decode()
    decision = stand.decision(got)
    way = (api, upstream)
    if way in FAULTS.get((place, stream), ()):
        assert decision["fault"] == "upstream"
        assert got.ending == "error"
        return
    if way in LOST.get((place, stream), ()):
        assert (got.status, decision["action"]) == (200, "allow")
        return
    assert (decision["action"], decision["streamed"]) == ("block", stream), got.raw.decode()
    assert FILTERED[api] in got.ending
    if (place, api) in UNSCANNABLE:
        assert decision["unscannable"]
        return
    assert [rule["id"] for rule in decision["rules"]] == [RULE_IDS[when]]
    assert TITLE.lower() in got.texts.lower()


@pytest.mark.slow
@pytest.mark.parametrize(("place", "api", "upstream", "stream"), CELLS)
def test_a_harmless_text_in_the_same_place_leaves(
    stands: Stands, place: str, api: str, upstream: str, stream: bool
) -> None:
    stand = stands(upstream)
    stand.answers(ANSWERS[place][spoken(api, upstream)]("row to the lighthouse"), stream=stream)
    got = stand.ask(api, asked(api, place), stream=stream)
    way = (api, upstream)
    if way in FAULTS.get((place, stream), ()) or place == "an unknown kind of block":
        return
    assert stand.decision(got)["action"] == "allow"
    assert got.status == 200
    assert "error" not in got.ending
    if way not in LOST.get((place, stream), ()) and place not in DISGUISED:
        assert "lighthouse" in got.texts
