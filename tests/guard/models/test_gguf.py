"""`gguf:` on the real SmolLM2-135M: answers, limits, bad files, shared and freed memory."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from guard.exchange import Message
from guard.models import gguf, open_model
from guard.models.base import (
    Ask,
    ChatModel,
    ContextTooLong,
    ModelConfigError,
    ModelError,
    ModelUnavailable,
    Reply,
    Sampling,
)
from guard.models.embedded import weights

OPTIONS = "?context=512&slots=4&threads=1"  # two that share a busy core wait for each other at every step


def ask(text: str, **sampling: object) -> Ask:
    return Ask((Message("user", text),), Sampling(**{"temperature": 0.0, "max_tokens": 12} | sampling))  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def model() -> Iterator[ChatModel]:
    model = open_model(f"gguf:{weights()}{OPTIONS}")
    yield model
    asyncio.run(model.close())


async def test_an_answer_comes_with_its_tokens_counted(model: ChatModel) -> None:
    reply = await model.chat(ask("What is 2+2?", max_tokens=40))
    assert "4" in reply.text
    assert reply.finish == "stop"
    assert reply.reasoning is None
    assert reply.usage.prompt > 20
    assert 3 < reply.usage.completion <= 40


async def test_the_chat_template_is_told_what_the_ask_tells_it(model: ChatModel) -> None:
    # this model's template reads no variable, but llama.cpp itself checks the type of one that it knows
    told = {"enable_thinking": "perhaps"}
    with pytest.raises(ModelError, match="enable_thinking"):
        await model.chat(Ask((Message("user", "Hello"),), Sampling(max_tokens=1), template=told))


async def test_an_answer_cut_off_at_max_tokens_says_length(model: ChatModel) -> None:
    reply = await model.chat(ask("Tell a long story about the sea.", max_tokens=5))
    assert reply.finish == "length"
    assert reply.usage.completion == 5


async def test_an_answer_that_fills_the_context_says_length(model: ChatModel) -> None:
    reply = await model.chat(
        Ask((Message("user", "word " * 440),), Sampling(max_tokens=400, temperature=1.5, seed=1), schema=LONG)
    )
    assert reply.finish == "length"
    assert reply.usage.prompt + reply.usage.completion in (511, 512)


LONG = {"type": "array", "items": {"type": "integer"}, "minItems": 500}


async def test_a_conversation_over_the_context_is_refused_whole(model: ChatModel) -> None:
    with pytest.raises(ContextTooLong, match=r"has \d{4} tokens and the model takes 512"):
        await model.chat(ask("word " * 1000))


async def test_the_same_seed_draws_the_same_answer_and_another_seed_another(model: ChatModel) -> None:
    def drawn(seed: int) -> Ask:
        return ask("Invent a name for a boat.", temperature=1.0, max_tokens=24, seed=seed)

    # one after the other: batching changes the rounding, see GgufModel
    first, again, other = [(await model.chat(drawn(seed))).text for seed in (7, 7, 8)]
    assert first == again
    assert first != other


async def test_a_seed_of_any_size_is_taken(model: ChatModel) -> None:
    big = 2**32 - 1
    texts = {(await model.chat(ask("Invent a word.", temperature=1.0, seed=big))).text for _ in range(3)}
    assert len(texts) == 1


async def test_no_seed_draws_anew_each_time(model: ChatModel) -> None:
    asks = [ask("Invent a name for a boat.", temperature=1.5, max_tokens=24) for _ in range(3)]
    assert len({reply.text for reply in await asyncio.gather(*map(model.chat, asks))}) > 1


async def test_an_answer_ends_before_a_stop_string(model: ChatModel) -> None:
    reply = await model.chat(ask("Count from 1 to 9 with commas: 1, 2, 3,", max_tokens=60, stop=("5",)))
    assert "4" in reply.text
    assert "5" not in reply.text
    assert reply.finish == "stop"


async def test_a_schema_binds_even_a_model_that_would_say_something_else(model: ChatModel) -> None:
    schema = {
        "type": "object",
        "properties": {"verdict": {"enum": ["breaks", "keeps"]}, "weight": {"type": "integer"}},
        "required": ["verdict", "weight"],
        "additionalProperties": False,
    }
    sampling = Sampling(temperature=0.8, max_tokens=120, seed=3)
    replies = await asyncio.gather(
        *(model.chat(Ask((Message("user", f"Write poem {n}."),), sampling, schema=schema)) for n in range(4))
    )
    for reply in replies:
        said = json.loads(reply.text)
        assert said["verdict"] in ("breaks", "keeps")
        assert isinstance(said["weight"], int)


async def test_a_schema_that_cannot_be_followed_is_named(model: ChatModel) -> None:
    with pytest.raises(ModelConfigError, match="cannot follow the schema"):
        await model.chat(Ask((Message("user", "hi"),), schema={"type": "nonsense"}))


async def test_log_probabilities_come_for_every_token(model: ChatModel) -> None:
    reply = await model.chat(Ask((Message("user", "Say yes or no."),), Sampling(0.0, max_tokens=4), logprobs=3))
    assert reply.logprobs is not None
    assert "".join(token.token for token in reply.logprobs) == reply.text
    for token in reply.logprobs:
        assert len(token.top) == 3
        assert token.logprob == max(token.top.values())  # greedy takes the likeliest
        assert token.logprob < 0


async def test_many_concurrent_calls_each_get_their_own_answer(model: ChatModel) -> None:
    async def said(n: int) -> str:
        schema = {"const": f"number {n}"}
        return (await model.chat(Ask((Message("user", "Say a number."),), Sampling(max_tokens=20), schema=schema))).text

    assert await asyncio.gather(*map(said, range(12))) == [f'"number {n}"' for n in range(12)]


async def test_a_cancelled_call_frees_its_slot_and_leaves_the_others_whole(model: ChatModel) -> None:
    long = [asyncio.create_task(model.chat(ask(f"Write a very long story {n}.", max_tokens=450))) for n in range(8)]
    await asyncio.sleep(0.3)
    kept = asyncio.create_task(model.chat(ask("What is 2+2?", max_tokens=40)))
    for task in long:
        task.cancel()
    results = await asyncio.gather(*long, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    assert "4" in (await kept).text


async def test_a_conversation_that_llama_cpp_cannot_read_fails_alone(model: ChatModel) -> None:
    with pytest.raises(ModelError):
        await model.chat(ask("a lone surrogate \ud800"))
    assert (await model.chat(ask("Hi"))).text


async def test_closing_tells_those_who_wait_that_the_model_is_gone() -> None:
    model = open_model(f"gguf:{weights()}?context=200&slots=1&threads=1")
    tasks = [asyncio.create_task(model.chat(ask("why", max_tokens=50))) for _ in range(4)]
    await asyncio.sleep(0.05)
    await model.close()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[-1], ModelUnavailable)
    assert all(isinstance(result, Reply | ModelUnavailable) for result in results)


async def test_nothing_reaches_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    model = open_model(f"gguf:{weights()}?context=256&slots=1&threads=1")
    await model.chat(ask("Hi"))
    with pytest.raises(ContextTooLong):
        await model.chat(ask("word " * 1000))
    await model.close()
    assert capfd.readouterr() == ("", "")


async def test_a_second_opening_shares_the_memory_and_outlives_the_first() -> None:
    process = psutil.Process()
    name = f"gguf:{weights()}?context=2048&slots=2&threads=1"
    held = len(gguf._engines)
    first = open_model(name)
    before = process.memory_info().rss
    second = open_model(name)
    assert process.memory_info().rss - before < 10 * 2**20  # a second copy would be some 200 MiB
    await first.close()
    await first.close()
    assert (await second.chat(ask("Hi"))).text
    await second.close()
    with pytest.raises(ModelUnavailable, match="is closed"):
        await second.chat(ask("Hi"))
    assert len(gguf._engines) == held


async def test_the_identity_changes_with_one_byte_of_the_weights(tmp_path: Path) -> None:
    identities = set()
    for swap in (False, True):
        copy = tmp_path / "model.gguf"
        shutil.copyfile(weights(), copy)
        if swap:
            with copy.open("r+b") as file:
                file.seek(-5, 2)
                old = file.read(1)
                file.seek(-5, 2)
                file.write(bytes([old[0] ^ 1]))
        model = open_model(f"gguf:{copy}?context=64&slots=1")
        identities.add(model.identity)
        await model.close()
    assert len(identities) == 2
    assert all(identity.startswith("gguf:model.gguf@") for identity in identities)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("gguf:", "names no file"),
        ("gguf:nowhere/model.gguf", "no model file `nowhere/model.gguf`"),
        ("gguf:{folder}", "is a folder"),
        ("gguf:{text}", "is not a GGUF file"),
        ("gguf:{cut}", "llama.cpp cannot load"),
        ("gguf:{cut}?contxt=5", "unknown option `contxt`"),
        ("gguf:{cut}?context=lots", "option `context` cannot be `lots`"),
        ("gguf:{cut}?slots=0", "option `slots` cannot be `0`"),
        ("gguf:{cut}?slots=1&slots=2", "given twice"),
    ],
)
def test_a_model_that_cannot_be_opened_says_why_and_what_to_do(tmp_path: Path, name: str, says: str) -> None:
    text = tmp_path / "notes.gguf"
    text.write_text("not a model")
    cut = tmp_path / "cut.gguf"
    with weights().open("rb") as whole:
        cut.write_bytes(whole.read(1_000_000))
    with pytest.raises(ModelConfigError, match=says) as caught:
        open_model(name.format(folder=tmp_path, text=text, cut=cut))
    assert caught.value.hint


def test_a_missing_llama_cpp_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(ModelConfigError, match=r"pip install 'wardlaw\[gguf\]'"):
        open_model(f"gguf:{weights()}?context=128")
