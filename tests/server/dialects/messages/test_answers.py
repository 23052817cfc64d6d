"""Answers that come whole: what is read in them, and what becomes of them."""

from __future__ import annotations

from typing import Any

import anthropic.types
import pytest

from guard.guarding.incoming import Answer
from guard.guarding.rulings import Ruling
from guard.window.outcomes import Channel
from rules.schema import Action
from server.dialects.messages import DIALECT
from server.dialects.messages.blocks import ASIDE

CITATION = {"type": "char_location", "cited_text": "It rains.", "document_title": "Almanac", "document_index": 0}
CITATION |= {"start_char_index": 0, "end_char_index": 9, "file_id": None}
ANSWER: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude",
    "content": [
        {"type": "thinking", "thinking": "Let me see.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "ZW5j"},
        {"type": "text", "text": "In Oslo "},
        {"type": "text", "text": "it rains", "citations": [CITATION]},
        {"type": "text", "text": "."},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 5},
}


def ruled(**said: Any) -> dict[str, Any]:
    answer = DIALECT.ruled(ANSWER, [Ruling(**said)], "filter")
    anthropic.types.Message.model_validate(answer)
    return answer


def test_every_text_of_an_answer_is_read() -> None:
    (answer,) = DIALECT.answers(ANSWER)
    assert answer.texts == {
        Channel("reasoning"): "Let me see.",
        Channel("text"): "In Oslo it rains.",
        Channel("tool"): '{"city":"Oslo"}',
        ASIDE: "It rains.\nAlmanac\nweather\n",
    }
    assert answer.unscannable == ()


@pytest.mark.parametrize(
    ("block", "kinds"),
    [
        ({"type": "hologram", "depth": 3}, ["hologram"]),
        ({"type": "bash_code_execution_tool_result", "content": {"content": [{"type": "bash_code_execution_output"}]}},
         ["bash_code_execution_output"]),
        ({"type": "web_fetch_tool_result", "content": {"content": {"source": {"type": "base64", "data": "aGk="}}}},
         ["base64"]),
    ],
)  # fmt: skip
def test_what_a_client_could_open_but_nobody_can_read_is_told(block: dict[str, Any], kinds: list[str]) -> None:
    (answer,) = DIALECT.answers({"type": "message", "content": [block]})
    assert [each.what for each in answer.unscannable] == kinds
    assert answer.texts == {}


def test_redacted_texts_go_back_to_their_blocks() -> None:
    edits = {
        Channel("text"): "In Oslo it [redacted].",
        Channel("tool"): '{"city":"[redacted]"}',
        ASIDE: "[redacted]\nAlmanac\nweather\n",
    }
    content = ruled(action=Action.REDACT, edits=edits)["content"]
    assert content[:2] == ANSWER["content"][:2]
    assert content[2:] == [
        {"type": "text", "text": "In Oslo "},
        {"type": "text", "text": "it [redacted]"},  # a citation quotes what is no more
        {"type": "text", "text": "."},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "[redacted]"}},
    ]
    assert ANSWER["content"][3]["citations"] == [CITATION]


def test_a_span_over_several_blocks_is_masked_in_the_first() -> None:
    content = ruled(action=Action.REDACT, edits={Channel("text"): "In [redacted]"})["content"]
    assert [block["text"] for block in content if block["type"] == "text"] == ["In [redacted]"]


def test_reasoning_that_is_redacted_goes_with_its_signature() -> None:
    content = ruled(action=Action.REDACT, edits={Channel("reasoning"): "Let me [redacted]."})["content"]
    assert content == ANSWER["content"][1:]


@pytest.mark.parametrize(("action", "stop"), [(Action.BLOCK, "refusal"), (Action.REVISE, "end_turn")])
@pytest.mark.parametrize("ending", ["filter", "refusal"])
def test_a_text_of_the_guard_takes_the_whole_answers_place(action: Action, stop: str, ending: Any) -> None:
    answer = DIALECT.ruled(ANSWER, [Ruling(action, text="Something else.")], ending)
    anthropic.types.Message.model_validate(answer)
    assert answer["content"] == [{"type": "text", "text": "Something else."}]
    assert (answer["id"], answer["stop_reason"], answer["usage"]) == ("msg_1", stop, ANSWER["usage"])


def test_another_draw_takes_the_answers_place() -> None:
    drawn = {**ANSWER, "id": "msg_2", "content": [{"type": "text", "text": "Rain."}], "stop_reason": "end_turn"}
    answer = ruled(action=Action.RESAMPLE, answer=DIALECT.answers(drawn)[0])
    assert (answer["id"], answer["content"], answer["stop_reason"]) == ("msg_1", drawn["content"], "end_turn")


def test_an_answer_of_another_dialect_is_not_taken() -> None:
    with pytest.raises(TypeError):
        ruled(action=Action.RESAMPLE, answer=Answer({}))


def test_further_draws_are_no_streams() -> None:
    body = {"model": "claude", "stream": True, "messages": []}
    assert DIALECT.redrawn(body, 2) == [{"model": "claude", "messages": []}] * 2
    assert body["stream"] is True


@pytest.mark.parametrize(
    "answer",
    [
        {"type": "error", "content": []},
        {"type": "message"},
        {"content": "hi"},
        {"content": ["hi"]},
        {"content": [{"text": "hi"}]},
        {"content": [{"type": "text", "text": None}]},
        {"content": [{"type": "thinking"}]},
        {"content": [{"type": "tool_use", "input": "{}"}]},
    ],
)
def test_what_is_no_message_is_refused(answer: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        DIALECT.answers(answer)


def test_a_member_whose_name_is_a_text_is_judged_and_can_be_renamed() -> None:
    response = {"type": "message", "content": [{"type": "text", "text": "Hi.", "a bad name": 1}]}
    (answer,) = DIALECT.answers(response)
    assert answer.texts == {Channel("text"): "Hi.", ASIDE: "a bad name\n"}
    made = DIALECT.ruled(response, [Ruling(Action.REDACT, {ASIDE: "a [x] name\n"})], "filter")
    assert made["content"] == [{"type": "text", "text": "Hi.", "a [x] name": 1}]
