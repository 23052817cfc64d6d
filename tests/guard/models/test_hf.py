"""`hf:` on a tiny random Llama made here, so that it is transformers' own code that runs; SmolLM2 where marked slow."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from guard.exchange import Message
from guard.models import hf, open_model
from guard.models.base import (
    Ask,
    ChatModel,
    ContextTooLong,
    ModelConfigError,
    ModelError,
    ModelUnavailable,
    Reply,
    Sampling,
    StreamingChatModel,
    streamed,
)
from guard.models.embedded import weights
from guard.models.hf import split_reasoning

TEMPLATE = (
    "{% for m in messages %}{% if m.role == 'tool' %}{{ raise_exception('no tools here') }}{% endif %}"
    "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PROMPTS = ("a", "tell me about the sea and the hills", "one two three " * 9, "why", "a much longer word " * 4)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the tiny model gains nothing from more, and threads that spin slow a busy machine
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of 3 layers with random weights, a byte-level tokenizer and a chat template."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*PROMPTS, TEMPLATE], trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|im_end|>")
    fast.chat_template = TEMPLATE
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        initializer_range=0.3,
        tie_word_embeddings=False,
        eos_token_id=fast.eos_token_id,
    )
    folder = tmp_path_factory.mktemp("models") / "tiny"
    LlamaForCausalLM(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> Iterator[ChatModel]:
    model = open_model(f"hf:{folder}?batch=8")
    yield model
    asyncio.run(model.close())


@pytest.fixture(scope="module")
def alone(folder: Path) -> Iterator[ChatModel]:
    """The same model, one conversation at a time."""
    model = open_model(f"hf:{folder}?batch=1")
    yield model
    asyncio.run(model.close())


def variant(folder: Path, target: Path, **changes: object) -> Path:
    """A copy of the model whose tokenizer or generation settings differ."""
    shutil.copytree(folder, target)
    for key, value in changes.items():
        if key == "chat_template":
            (target / "chat_template.jinja").unlink()
            if value is not None:
                (target / "chat_template.jinja").write_text(str(value))
        else:
            path = target / "generation_config.json"
            path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    return target


def ask(text: str, **sampling: object) -> Ask:
    return Ask((Message("user", text),), Sampling(**{"temperature": 0.0, "max_tokens": 16} | sampling))  # type: ignore[arg-type]


async def test_a_batch_of_many_lengths_answers_as_one_by_one(model: ChatModel, alone: ChatModel) -> None:
    asks = [ask(text, max_tokens=4 + 5 * n) for n, text in enumerate(PROMPTS)]
    together = await asyncio.gather(*map(model.chat, asks))
    single = [await alone.chat(one) for one in asks]
    assert together == single
    assert len({reply.text for reply in single}) == len(PROMPTS)
    assert [reply.usage.completion for reply in single] == [4, 9, 14, 19, 24]
    assert {reply.finish for reply in single} == {"length"}


async def test_a_sampled_row_does_not_hang_on_its_company(model: ChatModel, alone: ChatModel) -> None:
    asks = [ask(text, temperature=0.9, top_p=0.9, seed=n) for n, text in enumerate(PROMPTS)]
    together = await asyncio.gather(*map(model.chat, asks))
    fewer = await asyncio.gather(*map(model.chat, asks[2:]))
    single = [await alone.chat(one) for one in asks]
    assert together == single
    assert fewer == single[2:]


async def test_the_same_prompt_with_other_seeds_is_drawn_otherwise_within_one_batch(model: ChatModel) -> None:
    replies = await asyncio.gather(*(model.chat(ask("why", temperature=1.0, seed=seed)) for seed in (1, 2, 1, None)))
    first, other, again, _ = (reply.text for reply in replies)
    assert first == again
    assert first != other


async def test_a_nucleus_of_one_token_is_greedy(model: ChatModel) -> None:
    narrow, greedy = await asyncio.gather(
        model.chat(ask("why", temperature=1.0, top_p=1e-6, seed=1)), model.chat(ask("why"))
    )
    assert narrow == greedy


async def test_an_end_token_ends_one_row_and_not_its_neighbours(model: ChatModel, folder: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    whole = [(await model.chat(Ask(ask(text).messages, ask(text).sampling, logprobs=1))) for text in PROMPTS]
    tokens = [[token.token for token in reply.logprobs or ()] for reply in whole]
    end = tokens[1][6]
    ids = [n for n in range(len(tokenizer)) if tokenizer.decode([n]) == end]
    ended = open_model(f"hf:{variant(folder, tmp_path / 'ended', eos_token_id=ids)}")
    replies = await asyncio.gather(*(ended.chat(ask(text)) for text in PROMPTS))
    await ended.close()
    for reply, spelled in zip(replies, tokens, strict=True):
        stops = end in spelled
        assert reply.finish == ("stop" if stops else "length")
        length = spelled.index(end) if stops else 16
        assert reply.usage.completion == (length + 1 if stops else 16)
        assert "�" in reply.text or reply.text == "".join(spelled[:length])
    assert replies[1].finish == "stop"


async def test_an_answer_ends_before_a_stop_string(model: ChatModel) -> None:
    whole = (await model.chat(ask("why", max_tokens=30))).text
    stop = whole[8:12]
    reply, other = await asyncio.gather(
        model.chat(ask("why", max_tokens=30, stop=("never said", stop))), model.chat(ask("why", max_tokens=30))
    )
    assert reply.text == whole[: whole.index(stop)]
    assert reply.finish == "stop"
    assert reply.usage.completion < 30
    assert other.text == whole


async def test_a_conversation_over_the_context_is_refused_whole(model: ChatModel) -> None:
    with pytest.raises(ContextTooLong, match=r"has \d+ tokens and the model takes 256"):
        await model.chat(ask("words " * 200))


async def test_an_answer_that_fills_the_context_says_length(model: ChatModel) -> None:
    reply = await model.chat(ask("one two three " * 50, max_tokens=500))
    assert reply.finish == "length"
    assert reply.usage.prompt + reply.usage.completion == 256


async def test_log_probabilities_are_those_of_the_model(model: ChatModel, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    one = Ask((Message("user", "why"),), Sampling(temperature=0.7, max_tokens=3, seed=5), logprobs=2)
    reply, *_ = await asyncio.gather(model.chat(one), model.chat(ask(PROMPTS[2])))
    assert reply.logprobs is not None
    tokenizer = AutoTokenizer.from_pretrained(folder)
    raw = AutoModelForCausalLM.from_pretrained(folder)
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "why"}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    with torch.inference_mode():
        expected = raw(**prompt).logits[0, -1].log_softmax(-1)
    assert len(reply.logprobs) == 3
    first = reply.logprobs[0]
    assert max(first.top.values()) == pytest.approx(float(expected.max()), abs=1e-4)
    assert min(abs(float(value) - first.logprob) for value in expected) < 1e-4
    assert len(first.top) == 2


async def test_a_cancelled_call_leaves_its_batch_whole(model: ChatModel, alone: ChatModel) -> None:
    doomed = asyncio.create_task(model.chat(ask("why", max_tokens=200)))
    kept = asyncio.create_task(model.chat(ask(PROMPTS[1])))
    await asyncio.sleep(0.1)
    doomed.cancel()
    with pytest.raises(asyncio.CancelledError):
        await doomed
    assert await kept == await alone.chat(ask(PROMPTS[1]))


async def test_a_template_that_refuses_a_conversation_fails_that_row_alone(model: ChatModel) -> None:
    bad = Ask((Message("tool", "42"),), Sampling(0.0, max_tokens=4))
    refused, answered = await asyncio.gather(model.chat(bad), model.chat(ask("why")), return_exceptions=True)
    assert isinstance(refused, ModelError)
    assert "no tools here" in str(refused)
    assert not isinstance(answered, BaseException)


async def test_reasoning_opened_by_the_template_is_kept_apart(folder: Path, tmp_path: Path) -> None:
    template = TEMPLATE.replace("assistant\n{% endif %}", "assistant\n<think>\n{% endif %}")
    model = open_model(f"hf:{variant(folder, tmp_path / 'thinker', chat_template=template)}")
    reply = await model.chat(ask("why"))
    await model.close()
    assert reply.text == ""  # a random model never closes its thought
    assert reply.reasoning
    assert reply.finish == "length"


async def test_the_template_is_told_what_the_ask_tells_it(folder: Path, tmp_path: Path) -> None:
    template = "{{ raise_exception('told ' + guideline) if guideline is defined }}" + TEMPLATE
    model = open_model(f"hf:{variant(folder, tmp_path / 'told', chat_template=template)}")
    assert (await model.chat(ask("why"))).usage.prompt > 0
    with pytest.raises(ModelError, match="told be kind"):
        await model.chat(replace(ask("why"), template={"guideline": "be kind"}))
    await model.close()


async def test_a_template_that_reads_parts_alone_is_given_the_message_as_a_part(folder: Path, tmp_path: Path) -> None:
    template = (
        "{% for m in messages %}{% for part in m.content %}{{ part.text if part.type == 'text' }}{% endfor %}"
        "{% endfor %}<|im_start|>"
    )
    model = open_model(f"hf:{variant(folder, tmp_path / 'parts', chat_template=template)}")
    short, long = [(await model.chat(ask(text))).usage.prompt for text in ("a", "a b c d e f g h i j k")]
    await model.close()
    assert 1 < short < long  # of a plain string this template makes nothing: one token, whatever was said


@pytest.mark.parametrize(
    ("text", "thinking", "parts"),
    [
        ("plain", False, (None, "plain")),
        ("<think>why</think>\n\nso", False, ("why", "so")),
        ("\n<think>\nwhy\n</think>so", False, ("why", "so")),
        ("why\n</think>\nso", True, ("why", "so")),
        ("<think></think>so", False, (None, "so")),
        ("<think>cut of", False, ("cut of", "")),
        ("the tag <think> is named </think> here", False, (None, "the tag <think> is named </think> here")),
    ],
)
def test_reasoning_is_split_from_the_answer(text: str, thinking: bool, parts: tuple[str | None, str]) -> None:
    assert split_reasoning(text, thinking=thinking) == parts


async def test_a_second_opening_shares_the_model_and_outlives_the_first(folder: Path) -> None:
    held = len(hf._engines)
    first, second = (open_model(f"hf:{folder}?batch=3") for _ in range(2))
    assert len(hf._engines) == held + 1
    await first.close()
    await first.close()
    assert (await second.chat(ask("why"))).finish == "length"
    await second.close()
    assert len(hf._engines) == held
    with pytest.raises(ModelUnavailable, match="is closed"):
        await second.chat(ask("why"))


async def test_the_identity_tells_weights_template_and_precision_apart(folder: Path, tmp_path: Path) -> None:
    swapped = shutil.copytree(folder, tmp_path / "swapped" / "tiny")
    with (swapped / "model.safetensors").open("r+b") as file:
        file.seek(-2, 2)
        file.write(b"\x01")
    told = variant(folder, tmp_path / "told" / "tiny", chat_template=TEMPLATE + " ")
    identities = []
    for name in (f"{folder}", f"{swapped}", f"{told}", f"{folder}?dtype=bfloat16"):
        model = open_model(f"hf:{name}")
        identities.append(model.identity)
        await model.close()
    assert len(set(identities)) == 4
    assert all(identity.startswith("hf:tiny@") for identity in identities)
    assert identities[3] == identities[0].replace("float32", "bfloat16")


async def test_closing_tells_those_who_wait_that_the_model_is_gone(folder: Path) -> None:
    model = open_model(f"hf:{folder}?batch=1&context=200")
    tasks = [asyncio.create_task(model.chat(ask("why", max_tokens=50))) for _ in range(4)]
    await asyncio.sleep(0.05)
    await model.close()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[-1], ModelUnavailable)
    assert all(isinstance(result, Reply | ModelUnavailable) for result in results)


async def test_nothing_reaches_the_terminal(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = open_model(f"hf:{folder}?batch=2")
    await model.chat(ask("why"))
    await model.close()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("hf:", "names no model"),
        ("hf:./nowhere", "no model at `./nowhere`"),
        ("hf:nowhere/model.gguf", "no model at `nowhere/model.gguf`"),
        ("hf:{empty}", "holds no config.json"),
        ("hf:{empty}#model.gguf", "holds no model.gguf"),
        ("hf:{text}", "is not a model"),
        ("hf:{mute}", "has no chat template"),
        ("hf:{torn}", "transformers cannot load"),
        ("hf:wardlaw-tests/no-such-model", "cannot get `wardlaw-tests/no-such-model`"),
        ("hf:{mute}?device=tpu", "option `device` cannot be `tpu`"),
        ("hf:{mute}?device=cuda:99", "no device `cuda:99`"),
        ("hf:{mute}?dtype=int8", "option `dtype` cannot be `int8`"),
        ("hf:{mute}?bacth=8", "did you mean `batch`"),
    ],
)
def test_a_model_that_cannot_be_opened_says_why_and_what_to_do(
    folder: Path, tmp_path: Path, name: str, says: str
) -> None:
    (empty := tmp_path / "empty").mkdir()
    (text := tmp_path / "notes.txt").write_text("not a model")
    mute = variant(folder, tmp_path / "mute", chat_template=None)
    torn = shutil.copytree(folder, tmp_path / "torn")
    whole = (torn / "model.safetensors").read_bytes()
    (torn / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelConfigError, match=says) as caught:
        open_model(name.format(empty=empty, text=text, mute=mute, torn=torn))
    assert caught.value.hint


@pytest.mark.slow
async def test_smollm2_unpacked_from_gguf_answers_in_batches_as_alone() -> None:
    texts = [
        "What is 2+2?",
        "Say hello to a child.",
        "Name three colours and say why you like them.",
        "What is a hill?",
    ]
    asks = [ask(text, max_tokens=20) for text in texts]
    batched = open_model(f"hf:{weights()}?batch=4")
    together = await asyncio.gather(*map(batched.chat, asks))
    assert "4" in together[0].text
    assert together[0].finish == "stop"
    assert [await batched.chat(one) for one in asks] == together
    await batched.close()


async def told(model: ChatModel, asked: Ask) -> Reply:
    """The reply at the end of a stream, which must say what its pieces said."""
    given = [piece async for piece in streamed(model, asked)]
    reply = given[-1].reply
    assert reply is not None
    assert "".join(piece.text for piece in given) == reply.text
    assert "".join(piece.reasoning for piece in given) == (reply.reasoning or "")
    assert len(given) > 2
    return reply


async def test_streams_say_what_the_whole_answers_say(model: ChatModel) -> None:
    asks = [ask(text, temperature=0.9, seed=n, max_tokens=8 + 5 * n) for n, text in enumerate(PROMPTS)]
    whole = await asyncio.gather(*map(model.chat, asks))
    assert await asyncio.gather(*(told(model, one) for one in asks)) == whole


async def test_a_stream_without_a_seed_is_drawn_anew_each_time(model: ChatModel) -> None:
    assert len({(await told(model, ask("why", temperature=1.0))).text for _ in range(3)}) > 1


async def test_log_probabilities_come_with_the_pieces_of_a_stream(model: ChatModel) -> None:
    asked = replace(ask("why", max_tokens=6), logprobs=2)
    given = [piece async for piece in streamed(model, asked)]
    reply = given[-1].reply
    assert reply is not None
    assert tuple(token for piece in given for token in piece.logprobs) == reply.logprobs


async def test_a_reader_who_leaves_ends_its_row(alone: ChatModel) -> None:
    assert isinstance(alone, StreamingChatModel)
    async with aclosing(alone.stream(ask("why", max_tokens=200))) as pieces:
        await anext(pieces)
    # one conversation at a time: this one waits for the row before it, which ends with its next token
    assert (await told(alone, ask("why", max_tokens=6))).usage.completion == 6


async def test_a_stream_of_a_conversation_that_the_template_refuses_fails(model: ChatModel) -> None:
    with pytest.raises(ModelError, match="no tools here"):
        await told(model, Ask((Message("tool", "x"),)))
