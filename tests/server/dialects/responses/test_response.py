from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from openai.types.responses import Response

from guard.guarding.incoming import Answer, Unscannable
from guard.guarding.rulings import Ruling
from guard.window.outcomes import Channel
from rules.schema import Action
from server.dialects.base import Fault
from server.dialects.responses import DIALECT
from server.upstreams.base import Event

Json = dict[str, Any]
Golden = Callable[[str], list[Event]]


def whole(golden: Golden, name: str = "tools") -> Json:
    response: Json = (golden(name)[-1].data or {})["response"]
    return response


def said(*texts: str, **more: Any) -> Json:
    content = [
        {"type": "output_text", "text": text, "annotations": [], "logprobs": [{"token": text}]} for text in texts
    ]
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": content}
    return {"id": "resp_1", "object": "response", "status": "completed", "model": "m", "output": [item], **more}


def test_every_text_of_an_answer_is_in_a_channel_of_its_kind(golden: Golden) -> None:
    (answer,) = DIALECT.answers(whole(golden))
    assert answer.texts == {
        Channel("reasoning", 0): "**Looking** up the weather.",
        Channel("text", 0): "I will look at both cities.",
        Channel("tool", 0): '{"city":"Bern"}',
        Channel("tool", 1): '{"city":"Graz"}',
        Channel("aside", 0): "get_weather",
        Channel("aside", 1): "get_weather",
    }
    assert answer.unscannable == ()


def test_a_stream_and_a_whole_answer_go_through_the_same_channels(golden: Golden, passage: Any, at_once: Any) -> None:
    run = passage(DIALECT.stream({}, "filter"), at_once)
    run.run(golden("tools"))
    assert DIALECT.answers(whole(golden))[0].texts == run.came


def test_parts_and_messages_are_joined_by_line_ends() -> None:
    assert DIALECT.answers(said("one", "two"))[0].texts == {Channel("text", 0): "one\ntwo"}


@pytest.mark.parametrize("more", [
    {"output_text": "another text"},
    {"error": {"code": "server_error", "message": "another text"}},
    {"hologram": {"caption": "another text"}},
    {"another text": 1},
])  # fmt: skip
def test_texts_outside_the_output_are_scanned_too(more: Json) -> None:
    (answer,) = DIALECT.answers(said("one", **more))
    assert answer.texts == {Channel("text", 0): "one", Channel("aside"): "another text"}


def test_what_an_answer_repeats_of_its_request_is_no_text_of_it() -> None:
    (answer,) = DIALECT.answers(said("one", instructions="Be brief.", output_text="one", metadata={"a": "b c"}))
    assert answer.texts == {Channel("text", 0): "one"}


def test_pictures_cannot_be_scanned() -> None:
    item = {
        "type": "image_generation_call",
        "id": "ig_1",
        "status": "completed",
        "result": "aGk=",
        "revised_prompt": "a boat",
    }
    (answer,) = DIALECT.answers({**said(), "output": [item]})
    assert answer.unscannable == (Unscannable("output[0]", "image_generation_call"),)
    assert "a boat" in answer.texts.values() or "a boat" in "".join(answer.texts.values())


@pytest.mark.parametrize("response", [{}, {"output": "text"}, {"output": ["text"]}, {"output": None}])
def test_an_answer_of_another_shape_is_refused(response: Json) -> None:
    with pytest.raises(ValueError, match=r"^output"):
        DIALECT.answers(response)


def test_an_untouched_answer_is_the_same_object() -> None:
    response = said("one")
    assert DIALECT.ruled(response, [Ruling(Action.ALLOW)], "filter") is response


@pytest.mark.parametrize(("action", "ending", "status", "reason", "kind"), [
    (Action.BLOCK, "filter", "incomplete", "content_filter", "output_text"),
    (Action.BLOCK, "refusal", "completed", None, "refusal"),
    (Action.REVISE, "refusal", "completed", None, "output_text"),
])  # fmt: skip
def test_a_text_takes_the_place_of_the_whole_answer(
    golden: Golden, action: Action, ending: Any, status: str, reason: str | None, kind: str
) -> None:
    response = {**whole(golden), "output_text": "I will look at both cities.", "hologram": "more"}
    ruled = DIALECT.ruled(response, [Ruling(action, text="Something else.")], ending)
    (item,) = ruled["output"]
    assert item["content"][0]["type"] == kind
    assert ruled["status"] == status
    assert (ruled["incomplete_details"] or {}).get("reason") == reason
    assert ruled["output_text"] == ("Something else." if kind == "output_text" else "")
    assert "hologram" not in ruled
    assert ruled["id"] == response["id"]
    read = Response.model_validate(ruled, strict=False)
    assert read.output[0].type == "message"
    assert len(response["output"]) == 4


def test_masks_stand_where_the_words_stood_and_probabilities_go() -> None:
    response = said("my number", "is 555 0100", output_text="my numberis 555 0100")
    ruled = DIALECT.ruled(
        response, [Ruling(Action.REDACT, edits={Channel("text"): "my number\nis [redacted]"})], "filter"
    )
    first, second = ruled["output"][0]["content"]
    assert (first["text"], second["text"]) == ("my number", "is [redacted]")
    assert (first["logprobs"], second["logprobs"]) == ([{"token": "my number"}], [])
    assert ruled["output_text"] == "my numberis [redacted]"
    assert response["output"][0]["content"][1]["text"] == "is 555 0100"


def test_masks_stand_in_calls_and_in_what_tools_gave_back(golden: Golden) -> None:
    response = whole(golden, "search")
    texts = DIALECT.answers(response)[0].texts
    edits = {channel: text.replace("four", "[x]").replace("la", "[y]") for channel, text in texts.items()}
    output = DIALECT.ruled(response, [Ruling(Action.REDACT, edits=edits)], "filter")["output"]
    assert output[1]["output"] == "rolled a [x]"
    assert output[3]["input"] == "ls -[y]"
    assert output[4] == response["output"][4]


def test_another_draw_takes_the_answer_s_place() -> None:
    first, second = said("one"), said("two")
    drawn = DIALECT.answers(second)[0]
    assert DIALECT.ruled(first, [Ruling(Action.RESAMPLE, answer=drawn)], "filter") == second
    with pytest.raises(ValueError, match="no source"):
        DIALECT.ruled(first, [Ruling(Action.RESAMPLE, answer=Answer({}))], "filter")


@pytest.mark.parametrize("ending", ["filter", "refusal"])
def test_a_reply_is_an_answer_as_the_api_s_own_model_reads_it(ending: Any) -> None:
    body = {"model": "m", "input": "hi", "tools": [], "metadata": {"a": "b"}, "conversation": "conv_1"}
    reply = DIALECT.reply(body, "I would rather not.", ending)
    read = Response.model_validate(reply)
    assert read.id.startswith("resp_")
    assert read.output_text == ("I would rather not." if ending == "filter" else "")
    assert read.usage is not None
    assert read.usage.total_tokens == 0
    assert DIALECT.answers(reply)[0].texts == {
        Channel("text" if ending == "filter" else "refusal", 0): "I would rather not."
    }


def test_a_fault_is_told_as_the_api_tells_its_own() -> None:
    fault = DIALECT.fault(Fault(400, "invalid_request", "input: missing", where="input"))
    assert fault == {
        "error": {"message": "input: missing", "type": "invalid_request_error", "param": "input", "code": None}
    }
    assert DIALECT.fault(Fault(429, "rate_limit", "slow down"))["error"]["code"] == "rate_limit_exceeded"
