"""Answers given while they are written, by every model that runs in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from guard.exchange import Message
from guard.models import open_model
from guard.models.base import (
    Ask,
    ChatModel,
    ContextTooLong,
    ModelError,
    ModelUnavailable,
    Piece,
    Reply,
    Sampling,
    StreamingChatModel,
    streamed,
)
from guard.models.embedded import weights

SCRIPT = """
- {match: think, reasoning: It is  a sum., text: " It is\\n four. "}
- {match: empty, text: ""}
- {match: broken, error: context}
- {text: one two three}
"""


def ask(text: str, **sampling: object) -> Ask:
    return Ask((Message("user", text),), Sampling(**{"temperature": 0.0, "max_tokens": 12} | sampling))  # type: ignore[arg-type]


async def pieces(model: ChatModel, asked: Ask) -> list[Piece]:
    return [piece async for piece in streamed(model, asked)]


def joined(given: list[Piece]) -> Reply:
    """The reply at the end, which must say what the pieces said."""
    reply = given[-1].reply
    assert reply is not None
    assert all(piece.reply is None for piece in given[:-1])
    assert "".join(piece.text for piece in given) == reply.text
    assert "".join(piece.reasoning for piece in given) == (reply.reasoning or "")
    return reply


@pytest.fixture
def scripted(tmp_path: Path) -> ChatModel:
    path = tmp_path / "answers.yaml"
    path.write_text(SCRIPT)
    return open_model(f"scripted:{path}")


@pytest.fixture(scope="module")
def gguf() -> Iterator[ChatModel]:
    model = open_model(f"gguf:{weights()}?context=512&slots=2&threads=1")
    yield model
    asyncio.run(model.close())


@pytest.mark.parametrize("text", ["think", "empty", "hello"])
async def test_a_script_is_said_word_by_word(scripted: ChatModel, text: str) -> None:
    given = await pieces(scripted, ask(text))
    assert joined(given) == await scripted.chat(ask(text))
    assert len(given) == {"think": 8, "empty": 1, "hello": 4}[text]


async def test_a_scripted_fault_comes_from_a_stream_too(scripted: ChatModel) -> None:
    with pytest.raises(ContextTooLong):
        await pieces(scripted, ask("broken"))


async def test_a_model_that_cannot_stream_answers_in_one_piece() -> None:
    class Whole:
        identity = "whole"
        local = True

        async def chat(self, asked: Ask) -> Reply:
            return Reply("All at once.", reasoning="So.")

        async def close(self) -> None: ...

    assert not isinstance(Whole(), StreamingChatModel)
    (piece,) = await pieces(Whole(), ask("hello"))
    assert joined([piece]).text == "All at once."


async def test_a_gguf_model_streams_what_it_answers_whole(gguf: ChatModel) -> None:
    asked = ask("Tell me about the sea.", max_tokens=30)
    given = await pieces(gguf, asked)
    assert joined(given) == await gguf.chat(asked)
    assert len(given) > 20


async def test_a_gguf_stream_ends_before_a_stop_string(gguf: ChatModel) -> None:
    asked = ask("Count from 1 to 9 with commas: 1, 2, 3,", max_tokens=60, stop=("5",))
    reply = joined(await pieces(gguf, asked))
    assert "4" in reply.text
    assert "5" not in reply.text


async def test_log_probabilities_come_with_the_pieces(gguf: ChatModel) -> None:
    asked = Ask((Message("user", "Say yes or no."),), Sampling(0.0, max_tokens=4), logprobs=2)
    given = await pieces(gguf, asked)
    tokens = [token for piece in given for token in piece.logprobs]
    assert tuple(tokens) == joined(given).logprobs
    assert "".join(token.token for token in tokens) == joined(given).text


async def test_a_conversation_over_the_context_is_refused_in_a_stream_too(gguf: ChatModel) -> None:
    with pytest.raises(ContextTooLong):
        await pieces(gguf, ask("word " * 1000))


async def test_readers_who_leave_free_the_slots_for_others(gguf: ChatModel) -> None:
    assert isinstance(gguf, StreamingChatModel)
    long = ask("Write a very long story.", temperature=1.5, seed=1, max_tokens=450)
    for _ in range(6):  # three times as many as there are slots
        async with aclosing(gguf.stream(long)) as coming:
            await anext(coming)
    tasks = [asyncio.create_task(pieces(gguf, long)) for _ in range(6)]
    await asyncio.sleep(0.1)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    # with the slots taken, this would wait for 12 answers of 450 tokens
    assert "4" in joined(await pieces(gguf, ask("What is 2+2?", max_tokens=40))).text
    assert gguf._engine.pool._work_queue.qsize() == 0  # type: ignore[attr-defined]


async def test_many_streams_at_once_get_each_their_own_answer(gguf: ChatModel) -> None:
    async def said(n: int) -> str:
        asked = Ask((Message("user", "Say a number."),), Sampling(max_tokens=20), schema={"const": f"number {n}"})
        return joined(await pieces(gguf, asked)).text

    assert await asyncio.gather(*map(said, range(6))) == [f'"number {n}"' for n in range(6)]


async def test_closing_tells_those_who_read_that_the_model_is_gone() -> None:
    model = open_model(f"gguf:{weights()}?context=200&slots=1&threads=1")
    tasks = [asyncio.create_task(pieces(model, ask("why", max_tokens=50))) for _ in range(4)]
    await asyncio.sleep(0.05)
    await model.close()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[-1], ModelUnavailable)
    assert all(isinstance(result, list | ModelUnavailable) for result in results)
    with pytest.raises(ModelError, match="is closed"):
        await pieces(model, ask("why"))
