"""The official client reads what the dialect writes, and notices nothing."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from guard.guarding.rulings import Ruling
from guard.window.outcomes import Channel
from rules.schema import Action
from server.dialects._events import DONE
from server.dialects.base import Fault
from server.dialects.chat_completions import DIALECT

TEXT = Channel()
ASKED: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
TOOLS: list[Any] = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]


@pytest.mark.parametrize("ending", ["filter", "refusal"])
async def test_a_reply_is_read_as_a_completion(serve: Any, shapes: Any, ending: Any) -> None:
    client = await serve(lambda body: shapes.whole(DIALECT.reply(body, "I would rather not.", ending)))
    completion = await client.chat.completions.create(**ASKED, n=2)
    assert [choice.index for choice in completion.choices] == [0, 1]
    for choice in completion.choices:
        if ending == "filter":
            assert (choice.message.content, choice.finish_reason) == ("I would rather not.", "content_filter")
        else:
            assert (choice.message.refusal, choice.finish_reason) == ("I would rather not.", "stop")
            assert choice.message.content is None
    assert completion.usage.total_tokens == 0
    assert completion.model == "m"


async def test_a_ruled_answer_is_read_with_the_choices_that_were_let_through(serve: Any, shapes: Any) -> None:
    calling = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Ulm"}'}}
    response = shapes.answered({"content": "bad"}, {"content": None, "tool_calls": [calling]}, {"content": "a secret"})
    rulings = [
        Ruling(Action.BLOCK, text="no"),
        Ruling(Action.ALLOW),
        Ruling(Action.REDACT, edits={TEXT: "a [redacted]"}),
    ]
    client = await serve(lambda _: shapes.whole(DIALECT.ruled(response, rulings, "filter")))
    blocked, calls, masked = (await client.chat.completions.create(**ASKED, n=3)).choices
    assert (blocked.message.content, blocked.finish_reason) == ("no", "content_filter")
    assert calls.message.tool_calls[0].function.arguments == '{"city": "Ulm"}'
    assert masked.message.content == "a [redacted]"


@pytest.mark.parametrize(
    ("status", "kind", "raised"),
    [
        (400, "invalid_request", openai.BadRequestError),
        (400, "content_filter", openai.BadRequestError),
        (401, "authentication", openai.AuthenticationError),
        (403, "permission", openai.PermissionDeniedError),
        (404, "not_found", openai.NotFoundError),
        (413, "too_large", openai.APIStatusError),
        (429, "rate_limit", openai.RateLimitError),
        (500, "internal", openai.InternalServerError),
        (502, "upstream", openai.InternalServerError),
        (503, "overloaded", openai.InternalServerError),
        (504, "timeout", openai.InternalServerError),
    ],
)
async def test_each_fault_is_raised_as_what_it_is(
    serve: Any, shapes: Any, status: int, kind: str, raised: type[openai.APIStatusError]
) -> None:
    fault = Fault(status, kind, "what happened", where="messages[0]")
    client = await serve(lambda _: shapes.whole(DIALECT.fault(fault), status))
    with pytest.raises(raised, match="what happened") as caught:
        await client.chat.completions.create(**ASKED)
    assert caught.value.status_code == status
    assert caught.value.param == "messages[0]"


async def test_a_reply_is_read_as_a_stream_with_its_usage(serve: Any, shapes: Any) -> None:
    def answer(body: dict[str, Any]) -> Any:
        return shapes.streamed(DIALECT.stream(body, "filter").whole(DIALECT.reply(body, "no", "filter")))

    client = await serve(answer)
    asked = {**ASKED, "stream_options": {"include_usage": True}}
    chunks = [chunk async for chunk in await client.chat.completions.create(**asked, stream=True)]
    assert "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices) == "no"
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices][-1] == "content_filter"
    assert chunks[-1].usage.total_tokens == 0
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)


@pytest.mark.parametrize("ending", ["filter", "refusal"])
async def test_the_clients_own_accumulation_of_a_stopped_stream_holds(serve: Any, shapes: Any, ending: Any) -> None:
    def answer(body: dict[str, Any]) -> Any:
        shape = DIALECT.stream(body, ending)
        came = [
            shapes.chunk({"role": "assistant", "content": ""}),
            shapes.chunk({"role": "assistant", "content": ""}, index=1),
            shapes.chunk({"content": "It rains. "}),
            shapes.chunk({"content": "Es regnet."}, index=1),
        ]
        for each in came:
            shape.texts(each)
        stopped = shape.stopped(0, Ruling(Action.BLOCK, text="No more of it."))
        return shapes.streamed([*came, *stopped, shapes.chunk({}, index=1, finish="stop"), *shape.ended()])

    client = await serve(answer)
    async with client.chat.completions.stream(**ASKED, n=2) as stream:
        if ending == "filter":
            # The client tells a filtered choice by an error of its own, wherever it is asked to put a stream together.
            with pytest.raises(openai.ContentFilterFinishReasonError) as caught:
                await stream.get_final_completion()
            done = caught.value.completion
        else:
            done = await stream.get_final_completion()
    first, second = done.choices
    if ending == "filter":
        assert (first.message.content, first.finish_reason) == ("It rains. No more of it.", "content_filter")
    else:
        assert (first.message.content, first.message.refusal) == ("It rains. ", "No more of it.")
        assert first.finish_reason == "stop"
    assert (second.message.content, second.finish_reason) == ("Es regnet.", "stop")
    assert (first.message.role, second.message.role) == ("assistant", "assistant")


async def test_parallel_calls_that_were_cut_are_put_together_again(serve: Any, shapes: Any) -> None:
    def answer(body: dict[str, Any]) -> Any:
        shape = DIALECT.stream(body, "filter")
        calls = [
            {
                "index": place,
                "id": f"call_{place}",
                "type": "function",
                "function": {"name": "weather", "arguments": said},
            }
            for place, said in enumerate(('{"city": "Ulm"}', '{"city": "Bonn"}'))
        ]
        came = shapes.chunk({"role": "assistant", "content": None, "tool_calls": calls})
        zero, one = (0, Channel("tool", 0)), (0, Channel("tool", 1))
        pieces = [
            shape.cut(came, {zero: '{"city"', one: '{"ci'}, first=True, last=False),
            shape.cut(came, {one: 'ty": '}, first=False, last=False),
            shape.cut(came, {zero: ': "Ulm"}', one: '"[x]"}'}, first=False, last=True),
        ]
        return shapes.streamed([*pieces, shapes.chunk({}, finish="tool_calls"), DONE])

    client = await serve(answer)
    async with client.chat.completions.stream(**ASKED, tools=TOOLS) as stream:
        done = await stream.get_final_completion()
    calls = done.choices[0].message.tool_calls
    assert [(call.id, call.type, call.function.name, call.function.arguments) for call in calls] == [
        ("call_0", "function", "weather", '{"city": "Ulm"}'),
        ("call_1", "function", "weather", '{"city": "[x]"}'),
    ]
    assert done.choices[0].finish_reason == "tool_calls"


async def test_a_whole_answer_told_as_a_stream_is_read_back_whole(serve: Any, shapes: Any) -> None:
    calling = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Ulm"}'}}
    response = shapes.answered({"content": "It rains.", "tool_calls": [calling]}, {"content": "Es regnet."})
    client = await serve(lambda body: shapes.streamed(DIALECT.stream(body, "filter").whole(response)))
    async with client.chat.completions.stream(**ASKED, tools=TOOLS, n=2) as stream:
        done = await stream.get_final_completion()
    assert [choice.message.content for choice in done.choices] == ["It rains.", "Es regnet."]
    assert done.choices[0].message.tool_calls[0].function.arguments == '{"city": "Ulm"}'
    assert done.id == "chatcmpl-1"


async def test_an_error_in_a_stream_is_raised(serve: Any, shapes: Any) -> None:
    def answer(body: dict[str, Any]) -> Any:
        shape = DIALECT.stream(body, "filter")
        return shapes.streamed([shapes.chunk({"content": "It "}), *shape.fault(Fault(502, "upstream", "it broke off"))])

    client = await serve(answer)
    said = []
    with pytest.raises(openai.APIError, match="it broke off"):
        async for chunk in await client.chat.completions.create(**ASKED, stream=True):
            said.append(chunk.choices[0].delta.content)  # noqa: PERF401
    assert said == ["It "]


async def test_the_note_is_there_for_those_who_look_for_it(serve: Any, shapes: Any) -> None:
    def answer(body: dict[str, Any]) -> Any:
        shape = DIALECT.stream(body, "filter")
        return shapes.streamed([shape.noted(shapes.chunk({"content": "hi"}, finish="stop"), {"decision": "d_1"}), DONE])

    client = await serve(answer)
    chunks = [chunk async for chunk in await client.chat.completions.create(**ASKED, stream=True)]
    assert chunks[0].model_extra == {"wardlaw": {"decision": "d_1"}}


async def test_every_request_that_the_client_can_write_is_read(serve: Any, shapes: Any) -> None:
    seen: list[Any] = []

    def answer(body: dict[str, Any]) -> Any:
        seen.append(DIALECT.read(body))
        return shapes.whole(shapes.answered({"content": "ok"}))

    client = await serve(answer)
    await client.chat.completions.create(
        model="m",
        messages=[
            {"role": "developer", "content": [{"type": "text", "text": "be kind"}]},
            {"role": "user", "name": "ada", "content": [{"type": "text", "text": "the weather?"}]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c", "type": "function", "function": {"name": "weather", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "c", "content": "rain"},
        ],
        tools=TOOLS,
        tool_choice="auto",
        response_format={"type": "json_object"},
        reasoning_effort="low",
        seed=3,
        stop=["END"],
        metadata={"a": "b"},
    )
    assert [(message.role, message.content) for message in seen[0].messages] == [
        ("system", "weather"),
        ("system", "be kind"),
        ("user", "the weather?\nada"),
        ("assistant", ""),
        ("tool", "rain"),
    ]
    assert seen[0].messages[3].tool_calls == ("{}",)
