"""Requests and replies of the chat completions format, without a network."""

from __future__ import annotations

import pytest

from guard.exchange import Message
from guard.models._wire import Dialect, Garbled, read_reply
from guard.models.base import Ask, Sampling, Usage


def answer(content, finish="stop", **message):
    return {"choices": [{"message": {"content": content, **message}, "finish_reason": finish}]}


@pytest.mark.parametrize(
    ("content", "text", "reasoning"),
    [
        ("<think>Hm.</think>\n\nYes.", "Yes.", "Hm."),
        ("\n<think>\nHm.\nSo.\n</think>Yes.", "Yes.", "Hm.\nSo."),
        ("<think>\n\n</think>\n\nYes.", "Yes.", None),
        ("Hm.\n</think>\n\nYes.", "Yes.", "Hm."),
        ("</think>\nYes.", "Yes.", None),
        ("<think>Hm, and so on", "", "Hm, and so on"),
        ("Write <think>x</think> yourself.", "Write <think>x</think> yourself.", None),
        ("Close it with `</think>` then.", "Close it with `</think>` then.", None),
        ("Plain.", "Plain.", None),
    ],
)
def test_a_leading_think_block_is_reasoning_and_any_other_is_text(content, text, reasoning):
    reply = read_reply(answer(content, "length"))
    assert (reply.text, reply.reasoning) == (text, reasoning)


def test_content_in_parts_is_joined_and_thinking_parts_are_reasoning():
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
        {"type": "text", "text": "One, "},
        {"type": "text", "text": "two."},
    ]
    reply = read_reply(answer(parts))
    assert (reply.text, reply.reasoning) == ("One, two.", "Hm.")


def test_a_refusal_by_the_model_itself_is_its_answer():
    assert read_reply(answer(None, refusal="I will not help with that.")).text == "I will not help with that."


@pytest.mark.parametrize(
    ("given", "finish"),
    [("stop", "stop"), ("length", "length"), ("max_tokens", "length"), ("tool_calls", "stop"), (None, "stop")],
)
def test_ways_to_end_are_mapped(given, finish):
    assert read_reply(answer("x", given)).finish == finish


def test_an_answer_that_broke_off_upstream_is_no_answer():
    with pytest.raises(Garbled):
        read_reply(answer("half of", "error"))


@pytest.mark.parametrize("usage", [None, [], {}, {"prompt_tokens": None}])
def test_missing_usage_counts_as_nothing(usage):
    assert read_reply({**answer("x"), "usage": usage}).usage == Usage(0, 0)


@pytest.mark.parametrize("logprobs", [None, [], {"content": None}, {"content": [{"token": "x"}]}, {"content": "x"}])
def test_log_probabilities_in_another_shape_are_none(logprobs):
    body = answer("x")
    body["choices"][0]["logprobs"] = logprobs
    assert read_reply(body).logprobs is None


def test_a_value_out_of_range_is_never_taken_for_a_field_that_is_not_known():
    sent = Dialect().request(Ask((Message("user", "x"),), Sampling(9.0)), "m")
    assert Dialect().narrowed(sent, "temperature must be between 0 and 2", "temperature") is None
    assert Dialect().narrowed(sent, "max_tokens is too large: at most 4096", "max_tokens") is None


def test_a_field_that_was_not_sent_cannot_be_left_out():
    sent = Dialect().request(Ask((Message("user", "x"),)), "m")
    assert Dialect().narrowed(sent, "unknown field seed", "seed") is None


def test_a_server_that_knows_neither_name_of_the_bound_gets_none():
    ask = Ask((Message("user", "x"),))
    renamed = Dialect().narrowed(Dialect().request(ask, "m"), "unknown field max_tokens", None)
    bare = renamed.narrowed(renamed.request(ask, "m"), "unknown field max_completion_tokens", None)
    assert "max_completion_tokens" in renamed.request(ask, "m")
    assert not {"max_tokens", "max_completion_tokens"} & set(bare.request(ask, "m"))
    assert bare.narrowed(bare.request(ask, "m"), "unknown field max_completion_tokens", None) is None


def test_what_two_calls_learnt_is_joined():
    one, two = Dialect(frozenset({"seed"})), Dialect(frozenset({"stop"}), "max_completion_tokens")
    assert one.joined(two) == two.joined(one) == Dialect(frozenset({"seed", "stop"}), "max_completion_tokens")
