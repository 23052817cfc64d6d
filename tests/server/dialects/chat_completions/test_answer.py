"""Whole answers: every text in its channel, and rulings carried out on a copy."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from guard.guarding.incoming import Answer, Unscannable
from guard.guarding.rulings import Ruling
from guard.window.outcomes import Channel
from rules.schema import Action
from server.dialects.base import Fault
from server.dialects.chat_completions import DIALECT
from server.dialects.chat_completions.fields import AROUND, LEGACY_CALL, OTHER, SPOKEN, TOKENS, name_of

TEXT, REFUSAL = Channel(), Channel("refusal")
PASS = Ruling(Action.ALLOW)


def texts(response: dict[str, Any]) -> dict[Channel, str]:
    return dict(DIALECT.answers(response)[0].texts)


def call(arguments: str, name: str = "weather") -> dict[str, Any]:
    return {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}


def test_a_plain_answer_has_one_text(shapes: Any) -> None:
    answers = DIALECT.answers(shapes.answered({"content": "hello"}, {"content": "hallo", "refusal": None}))
    assert [answer.texts for answer in answers] == [{TEXT: "hello"}, {TEXT: "hallo"}]


def test_each_text_of_an_answer_has_its_channel(shapes: Any) -> None:
    message = {
        "content": "said",
        "refusal": "refused",
        "reasoning_content": "thought",
        "reasoning": "thought too",
        "reasoning_details": [{"type": "reasoning.summary", "summary": "in short", "id": "r1"}],
        "tool_calls": [
            call('{"a": 1}'),
            {"id": "call_2", "type": "custom", "custom": {"name": "shell", "input": "ls"}},
        ],
        "audio": {"id": "audio_1", "data": "AAAA", "expires_at": 9, "transcript": "spoken"},
        "annotations": [
            {"type": "url_citation", "url_citation": {"title": "A page", "url": "https://a/b", "start_index": 0}}
        ],
    }
    answer = DIALECT.answers(shapes.answered(message))[0]
    assert dict(answer.texts) == {
        TEXT: "said",
        REFUSAL: "refused",
        Channel("reasoning", 0): "thought",
        Channel("reasoning", 1): "thought too",
        Channel("reasoning", 3): "in short",
        Channel("tool", 0): '{"a": 1}',
        name_of(0): "weather",
        Channel("tool", 1): "ls",
        name_of(1): "shell",
        SPOKEN: "spoken",
        OTHER: "A page\nhttps://a/b",
    }
    assert answer.unscannable == (Unscannable("choices[0].message.audio", "audio"),)


def test_content_parts_are_joined_and_unknown_ones_cannot_be_scanned(shapes: Any) -> None:
    parts = [
        {"type": "text", "text": "one"},
        {"type": "thinking", "thinking": [{"type": "text", "text": "thought"}]},
        {"type": "image", "image": "AAAA"},
        {"type": "text", "text": "two"},
    ]
    answer = DIALECT.answers(shapes.answered({"content": parts}))[0]
    assert dict(answer.texts) == {TEXT: "one\ntwo", Channel("reasoning", 2): "thought"}
    assert answer.unscannable == (Unscannable("choices[0].message.content[2]", "image"),)


def test_a_legacy_function_call_is_seen(shapes: Any) -> None:
    seen = texts(shapes.answered({"content": None, "function_call": {"name": "f", "arguments": "{}"}}))
    assert seen == {Channel("tool", LEGACY_CALL): "{}", name_of(LEGACY_CALL): "f"}


@pytest.mark.parametrize(
    "where",
    [
        lambda response, text: response["choices"][0]["message"].update(aside={"deep": [text]}),
        lambda response, text: response["choices"][0]["message"].update({text: 1}),
        lambda response, text: response["choices"][0].update(aside=text),
        lambda response, text: response["choices"][0].update(delta={"content": text}),
        lambda response, text: response.update(citations=[text]),
        lambda response, text: response["choices"][0].update(logprobs={"content": [{"token": text}]}),
        lambda response, text: response["choices"][0].update(logprobs={"aside": text}),
        lambda response, text: response["choices"][0]["message"].update(role=text),
        lambda response, text: response["choices"][0]["message"].update(tool_calls=[{"id": text}]),
    ],
    ids=["message", "member", "choice", "delta", "around", "logprobs", "logprobs-aside", "role", "call-id"],
)
def test_a_text_that_nobody_knows_is_seen_wherever_it_stands(shapes: Any, where: Any) -> None:
    response = shapes.answered({"content": "hello"})
    where(response, "and this")
    assert "and this" in "\n".join(texts(response).values())


def test_log_probabilities_that_say_what_the_text_says_are_not_seen_twice(shapes: Any) -> None:
    response = shapes.answered({"content": "né vu"})
    response["choices"][0]["logprobs"] = shapes.tokens("né", " vu")
    assert texts(response) == {TEXT: "né vu"}
    response["choices"][0]["logprobs"] = shapes.tokens("né", " pas vu")
    assert texts(response) == {TEXT: "né vu", TOKENS: "né pas vu"}


def test_tokens_cut_within_a_character_are_compared_by_their_bytes(shapes: Any) -> None:
    response = shapes.answered({"content": "é"})
    cut = [{"token": "bytes:\\xc3", "bytes": [0xC3]}, {"token": "bytes:\\xa9", "bytes": [0xA9]}]
    response["choices"][0]["logprobs"] = {"content": cut}
    assert texts(response)[TOKENS] == "bytes:\\xc3bytes:\\xa9"


@pytest.mark.parametrize(
    "response",
    [
        {},
        {"choices": "none"},
        {"choices": ["none"]},
        {"choices": [{"index": 0}]},
        {"choices": [{"index": 0, "message": "hello"}]},
        {"choices": [{"index": 0, "message": {"tool_calls": "f"}}]},
        {"choices": [{"index": 0, "message": {"tool_calls": ["f"]}}]},
        {"choices": [{"index": 0, "message": {"tool_calls": [{"function": "f"}]}}]},
        {"choices": [{"index": 0, "message": {}, "logprobs": {"content": [7]}}]},
        {"choices": [], "error": {"message": "it failed"}},
    ],
)
def test_what_is_no_answer_is_told(response: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        DIALECT.answers(response)


def test_choices_that_are_not_ruled_on_stay_the_same_objects(shapes: Any) -> None:
    response = shapes.answered({"content": "fine"}, {"content": "bad"}, unknown=[1, 2])
    before = copy.deepcopy(response)
    made = DIALECT.ruled(response, [PASS, Ruling(Action.BLOCK, text="no")], "filter")
    assert response == before
    assert made["choices"][0] is response["choices"][0]
    assert made["choices"][1] == {
        "index": 1,
        "message": {"role": "assistant", "content": "no", "refusal": None},
        "logprobs": None,
        "finish_reason": "content_filter",
    }
    assert {name: made[name] for name in before if name != "choices"} == {
        name: before[name] for name in before if name != "choices"
    }


def test_a_reply_takes_the_place_of_calls_and_reasoning_too(shapes: Any) -> None:
    response = shapes.answered(
        {"content": "bad", "reasoning_content": "bad", "tool_calls": [call("{}")], "aside": "bad"}
    )
    made = DIALECT.ruled(response, [Ruling(Action.BLOCK, text="no")], "refusal")
    assert made["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": None, "refusal": "no"},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]


@pytest.mark.parametrize("ending", ["filter", "refusal"])
def test_a_revision_is_an_ordinary_answer(shapes: Any, ending: Any) -> None:
    made = DIALECT.ruled(shapes.answered({"content": "bad"}), [Ruling(Action.REVISE, text="better")], ending)
    assert made["choices"][0]["message"] == {"role": "assistant", "content": "better", "refusal": None}
    assert made["choices"][0]["finish_reason"] == "stop"


def test_another_draw_comes_in_with_the_index_of_the_one_it_replaces(shapes: Any) -> None:
    drawn = DIALECT.answers(shapes.answered({"content": "better", "tool_calls": [call("{}")]}, finish="tool_calls"))[0]
    response = shapes.answered({"content": "fine"}, {"content": "bad"})
    made = DIALECT.ruled(response, [PASS, Ruling(Action.RESAMPLE, answer=drawn)], "filter")
    assert made["choices"][1]["index"] == 1
    assert made["choices"][1]["message"]["content"] == "better"
    assert made["choices"][1]["finish_reason"] == "tool_calls"


def test_masks_go_where_the_texts_were_and_what_repeats_them_goes(shapes: Any) -> None:
    message = {
        "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "secret"}],
        "reasoning": "a secret",
        "tool_calls": [call('{"a": "secret"}')],
        "audio": {"id": "a", "data": "AAAA", "transcript": "secret"},
        "note": "kept",
    }
    response = shapes.answered(message, system_fingerprint="fp")
    response["choices"][0] |= {"logprobs": shapes.tokens("one", "secret"), "token_ids": [1, 2]}
    edits = {
        TEXT: "one\n[x]",
        Channel("reasoning", 1): "a [x]",
        Channel("tool", 0): '{"a": "[x]"}',
        SPOKEN: "[x]",
    }
    before = copy.deepcopy(response)
    made = DIALECT.ruled(response, [Ruling(Action.REDACT, edits=edits)], "filter")
    assert response == before
    choice = made["choices"][0]
    assert choice["message"]["content"] == [{"type": "text", "text": "one"}, {"type": "text", "text": "[x]"}]
    assert choice["message"]["reasoning"] == "a [x]"
    assert choice["message"]["tool_calls"] == [call('{"a": "[x]"}')]
    assert choice["message"]["audio"] is None
    assert choice["message"]["note"] == "kept"
    assert choice["logprobs"] is None
    assert choice["token_ids"] is None
    assert "secret" not in str(made)


def test_what_stands_beside_the_choices_goes_with_the_first(shapes: Any) -> None:
    response = shapes.answered({"content": "bad"}, citations=["a bad page"], note="bad")
    assert texts(response)[AROUND] == "a bad page\nbad"
    made = DIALECT.ruled(response, [Ruling(Action.BLOCK, text="no")], "filter")
    assert "bad" not in str(made)
    made = DIALECT.ruled(response, [Ruling(Action.REDACT, edits={AROUND: "a [x] page\nbad"})], "filter")
    assert made["citations"] == ["a [x] page"]


def test_a_reply_is_as_many_choices_as_were_asked_for() -> None:
    made = DIALECT.reply({"model": "gpt-x", "n": 3}, "no", "filter")
    assert [choice["index"] for choice in made["choices"]] == [0, 1, 2]
    assert {choice["message"]["content"] for choice in made["choices"]} == {"no"}
    assert made["model"] == "gpt-x"
    assert made["id"].startswith("chatcmpl-")
    assert made["usage"] == {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    assert len(DIALECT.reply({"n": 10**9}, "no", "filter")["choices"]) == 128
    assert len(DIALECT.reply({"n": "three", "model": 7}, "no", "filter")["choices"]) == 1


def test_further_draws_are_single_whole_answers_with_seeds_of_their_own() -> None:
    body = {"model": "m", "messages": [], "stream": True, "stream_options": {}, "n": 4, "seed": 7, "top_p": 0.5}
    assert DIALECT.redrawn(body, 2) == [
        {"model": "m", "messages": [], "seed": 8, "top_p": 0.5},
        {"model": "m", "messages": [], "seed": 9, "top_p": 0.5},
    ]
    assert DIALECT.redrawn({"model": "m", "messages": []}, 1) == [{"model": "m", "messages": []}]


@pytest.mark.parametrize(
    ("kind", "status", "told"),
    [
        ("invalid_request", 400, ("invalid_request_error", None)),
        ("authentication", 401, ("invalid_request_error", "invalid_api_key")),
        ("rate_limit", 429, ("requests", "rate_limit_exceeded")),
        ("upstream", 502, ("server_error", "upstream_error")),
        ("content_filter", 400, ("invalid_request_error", "content_filter")),
        ("new_kind", 418, ("invalid_request_error", "new_kind")),
        ("new_kind", 507, ("server_error", "new_kind")),
    ],
)
def test_an_error_has_openais_shape(kind: str, status: int, told: tuple[str, str | None]) -> None:
    made = DIALECT.fault(Fault(status, kind, "what happened", where="messages[0]"))
    assert made == {"error": {"message": "what happened", "type": told[0], "param": "messages[0]", "code": told[1]}}


def test_an_answer_of_another_api_cannot_come_in(shapes: Any) -> None:
    ruling = Ruling(Action.RESAMPLE, answer=Answer({TEXT: "x"}))
    with pytest.raises(ValueError, match="not read from a choice"):
        DIALECT.ruled(shapes.answered({"content": "bad"}), [ruling], "filter")


def signed(text: str) -> dict[str, Any]:
    thought = {"type": "reasoning.text", "text": text, "signature": "c2ln"}
    return {"role": "assistant", "content": "so", "reasoning_details": [thought, {**thought, "text": "well"}]}


def test_the_signature_of_reasoning_that_was_edited_goes_and_others_stay(shapes: Any) -> None:
    response = shapes.answered(signed("a bad thought"))
    channel = Channel("reasoning", 3)
    made = DIALECT.ruled(response, [Ruling(Action.REDACT, {channel: "a [x] thought\nwell"})], "filter")
    edited, kept = made["choices"][0]["message"]["reasoning_details"]
    assert edited == {"type": "reasoning.text", "text": "a [x] thought"}
    assert kept["signature"] == "c2ln"


def test_the_signature_of_reasoning_that_is_withheld_in_a_request_goes() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}, signed("a bad thought")]}
    made = DIALECT.edited(body, {(1, Channel("reasoning")): "a [x] thought\nwell"})
    assert made["messages"][1]["reasoning_details"][0] == {"type": "reasoning.text", "text": "a [x] thought"}


def test_the_signature_of_a_piece_of_reasoning_that_is_cut_does_not_leave(shapes: Any) -> None:
    shape = DIALECT.stream({"model": "m"}, "filter")
    came = shapes.chunk(signed("a bad thought"))
    texts = {(choice, channel): "[x]" for choice, channel, _ in shape.texts(came)}
    cut = shape.cut(came, texts, first=True, last=True)
    assert b"signature" not in cut.raw
