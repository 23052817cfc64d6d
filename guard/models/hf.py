"""`hf:ID-or-PATH`: a chat model run in this process by transformers, many conversations at once.

Options stand behind a `?`: `hf:org/model?device=cpu&dtype=bfloat16&batch=16&context=4096`. A GGUF file is read with
`hf:FOLDER#FILE.gguf` or `hf:PATH.gguf`; its weights are then unpacked, so that it can be compared with `gguf:`.
A JSON Schema cannot be enforced here: `Ask.schema` is left to the prompt.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from guard.models._batch import LengthBatcher
from guard.models._draw import Draw, Ends, RowState
from guard.models._handover import CancelledWork, Handover
from guard.models._hub import Loaded, Place, find, load
from guard.models._shared import Shared
from guard.models._spec import at_least, one_of, split_options
from guard.models._spelling import Teller
from guard.models._template import reads_parts, turns_of
from guard.models.base import (
    Ask,
    ChatModel,
    ContextTooLong,
    ModelError,
    ModelUnavailable,
    Piece,
    Reply,
    Usage,
)

WAIT = 0.01
"""Seconds without a new call after which a batch that is not full starts: the callers of the last batch need about
that long to come back with their next question."""

BATCH = {"cpu": 16, "cuda": 64}
"""Conversations in one batch, unless the name says otherwise; docs/figures/local_throughput.md has the figures."""

_THINK, _THOUGHT = "<think>", "</think>"

_engines: Shared[_Engine] = Shared()


def open_model(spec: str, *, concurrency: int) -> ChatModel:
    """Open `ID-or-PATH?device=..&dtype=..&batch=N&context=N`. Opened again the same way, it shares its memory.

    Raises:
        ModelConfigError: no such path or id, nothing that transformers can load, no chat template, no such device.
    """
    readers: dict[str, Callable[[str], Any]] = {
        "device": str,
        "dtype": one_of("auto", "float32", "bfloat16", "float16"),
        "batch": at_least(1),
        "context": at_least(16),
    }
    what, options = split_options(spec, readers)
    place = find(what, device=options.get("device", "auto"), dtype=options.get("dtype", "auto"))
    batch = options.get("batch") or max(1, min(concurrency, BATCH.get(place.device.partition(":")[0], BATCH["cpu"])))
    key = (place, batch, options.get("context"))
    return HfModel(key, _engines.take(key, lambda: _Engine(place, batch, options.get("context"))))


class HfModel:
    """One opening of a model. A row's answer hangs on its own ask and seed, not on the batch, up to rounding."""

    local = True

    def __init__(self, key: Any, engine: _Engine) -> None:
        self._key = key
        self._engine: _Engine | None = engine
        self._identity = engine.loaded.identity

    @property
    def identity(self) -> str:
        """`hf:<name>@<commit, or mark of the files>/<dtype>`: half precision answers otherwise than full."""
        return self._identity

    async def chat(self, ask: Ask) -> Reply:
        """Answer one conversation; a prompt that fits leaves the answer what is left of the context, then `length`.

        Raises:
            ContextTooLong: the prompt fills the context.
            ModelError: the chat template refuses the conversation, or the memory does not hold even one row.
            ModelUnavailable: the model was closed.
        """
        engine = self._engine
        if engine is None:
            raise ModelUnavailable(f"model `{self._identity}` is closed", "open it again")
        row = _Row(ask)
        try:
            await asyncio.get_running_loop().run_in_executor(engine.prompts, engine.prepare, row)
            return await asyncio.wrap_future(engine.batcher.submit(row))
        except asyncio.CancelledError:
            row.cancelled.set()  # its batch goes on without it
            if self._engine is None and not _is_cancelled():
                raise ModelUnavailable(f"model `{self._identity}` was closed", "open it again") from None
            raise
        except RuntimeError as error:
            if self._engine is None:
                raise ModelUnavailable(f"model `{self._identity}` was closed", "open it again") from None
            raise ModelError(f"`{self._identity}` could not answer: {_line(error)}", "run it again") from error

    async def stream(self, ask: Ask) -> AsyncGenerator[Piece, None]:
        """Answer one conversation, a piece for each token or so; closing the generator ends the row's generation.

        Raises:
            ModelError: as for `chat`.
        """
        engine = self._engine
        if engine is None:
            raise ModelUnavailable(f"model `{self._identity}` is closed", "open it again")
        pieces: Handover[Piece, Reply] = Handover()
        if ask.sampling.seed is None:  # so that a batch that is begun again draws the same
            ask = replace(ask, sampling=replace(ask.sampling, seed=random.getrandbits(63)))
        row = _Row(ask, Teller(pieces.put))
        try:
            await asyncio.get_running_loop().run_in_executor(engine.prompts, engine.prepare, row)
            async with aclosing(pieces.until(engine.batcher.submit(row))) as coming:
                async for piece in coming:
                    yield piece
            yield Piece(reply=pieces.result())
        except (CancelledWork, asyncio.CancelledError):
            if self._engine is None and not _is_cancelled():
                raise ModelUnavailable(f"model `{self._identity}` was closed", "open it again") from None
            raise
        except RuntimeError as error:
            if self._engine is None:
                raise ModelUnavailable(f"model `{self._identity}` was closed", "open it again") from None
            raise ModelError(f"`{self._identity}` could not answer: {_line(error)}", "run it again") from error
        finally:
            row.cancelled.set()  # its batch goes on without it

    async def close(self) -> None:
        """Let go of the model; the memory is freed with its last opening."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await asyncio.get_running_loop().run_in_executor(None, _release, self._key)


@dataclass(slots=True)
class _Row:
    """One ask, and its prompt in tokens."""

    ask: Ask
    teller: Teller | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)
    prompt: list[int] = field(default_factory=list)
    room: int = 0
    """The most tokens of its answer."""
    thinking: bool = False
    """Whether the prompt itself opens the reasoning, as templates of reasoning models do."""


class _Engine:
    """A loaded model with its threads: one makes prompts while another generates. Shared by all who opened it."""

    def __init__(self, place: Place, batch: int, context: int | None) -> None:
        self.loaded: Loaded = load(place)
        known = [length for length in (self.loaded.context, context) if length]
        self.context = min(known) if known else None
        self.in_parts = reads_parts(self.loaded.tokenizer)
        self.prompts = ThreadPoolExecutor(1, thread_name_prefix="prompts")
        self.batcher: LengthBatcher[_Row, Reply] = LengthBatcher(
            self.answer,
            # a batch costs its longest row: prompt to read and answer to write
            lambda row: len(row.prompt) + row.room,
            size=batch,
            wait=WAIT,
        )

    def prepare(self, row: _Row) -> None:
        """Turn a row's messages into tokens, whole or not at all."""
        from jinja2.exceptions import TemplateError

        tokenizer = self.loaded.tokenizer
        try:
            turns = turns_of(row.ask.messages, in_parts=self.in_parts)
            told = {**row.ask.template, "tokenize": False, "add_generation_prompt": True}
            text = str(tokenizer.apply_chat_template(turns, **told))
        except (TemplateError, TypeError) as error:
            raise ModelError(
                f"the chat template refuses the conversation: {_line(error)}",
                "see which roles, in which order, it takes",
            ) from error
        row.thinking = text.rstrip().endswith(_THINK)
        # the template has written the special tokens: the tokenizer would put a second start before them
        row.prompt = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        row.room = row.ask.sampling.max_tokens
        if self.context is not None:
            if len(row.prompt) >= self.context:
                raise ContextTooLong(
                    f"the conversation has {len(row.prompt)} tokens and the model takes {self.context}",
                    "shorten it, or use a model with a longer context",
                )
            row.room = min(row.room, self.context - len(row.prompt))

    def answer(self, rows: Sequence[_Row]) -> list[Reply]:
        """Answer a batch; a batch too large for the GPU is halved until it fits."""
        import torch

        try:
            return self._generate(rows)
        except torch.OutOfMemoryError:
            if len(rows) == 1:
                raise ModelError("the GPU's memory does not hold this conversation", "lower `?context=`") from None
        # outside of the handler, whose traceback would keep the tensors that filled the memory
        torch.cuda.empty_cache()
        half = len(rows) // 2
        return [*self.answer(rows[:half]), *self.answer(rows[half:])]

    def _generate(self, rows: Sequence[_Row]) -> list[Reply]:
        import torch
        from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

        loaded, width = self.loaded, max(len(row.prompt) for row in rows)
        states = [self._state(row) for row in rows]
        # padding stands left: the last prompt token of every row meets its first new one
        ids = [[loaded.pad] * (width - len(row.prompt)) + row.prompt for row in rows]
        mask = [[0] * (width - len(row.prompt)) + [1] * len(row.prompt) for row in rows]
        loaded.model.generate(
            input_ids=torch.tensor(ids, device=loaded.model.device),
            attention_mask=torch.tensor(mask, device=loaded.model.device),
            generation_config=GenerationConfig(
                do_sample=False,
                max_new_tokens=max(row.room for row in rows),
                pad_token_id=loaded.pad,
                bos_token_id=loaded.tokenizer.bos_token_id,
            ),
            logits_processor=LogitsProcessorList([Draw(states, loaded.pad, lambda token: self._read([token], False))]),
            stopping_criteria=StoppingCriteriaList([Ends(states, loaded.ends, self._read)]),
        )
        return [self._reply(row, state) for row, state in zip(rows, states, strict=True)]

    def _read(self, ids: list[int], skip_special: bool = True) -> str:
        text = self.loaded.tokenizer.decode(ids, skip_special_tokens=skip_special, clean_up_tokenization_spaces=False)
        return str(text)

    def _state(self, row: _Row) -> RowState:
        sampling, told = row.ask.sampling, None
        if row.teller is not None:
            told = row.teller.begin(self._read, self.loaded.ends, sampling.stop, thinking=row.thinking)
        return RowState(sampling, row.room, row.cancelled.is_set, row.ask.logprobs, told)

    def _reply(self, row: _Row, state: RowState) -> Reply:
        ids = state.ids[:-1] if state.ids[-1] in self.loaded.ends else state.ids
        text = self._read(ids)
        text = text[: min((at for stop in row.ask.sampling.stop if (at := text.find(stop)) >= 0), default=len(text))]
        reasoning, text = split_reasoning(text, thinking=row.thinking)
        return Reply(
            text=text,
            finish="length" if state.finish == "length" else "stop",
            reasoning=reasoning,
            usage=Usage(len(row.prompt), len(state.ids)),
            logprobs=tuple(state.drawn[: len(ids)]) if row.ask.logprobs else None,
        )


def split_reasoning(text: str, *, thinking: bool = False) -> tuple[str | None, str]:
    """Part `<think>reasoning</think>answer`; `thinking` says that the prompt already opened it.

    A text cut off while it thinks is all reasoning and has no answer.
    """
    opened = text.lstrip().startswith(_THINK)
    if not opened and not thinking:
        return None, text
    inner = text.lstrip().removeprefix(_THINK) if opened else text
    reasoning, _, answer = inner.partition(_THOUGHT)
    return reasoning.strip() or None, answer.lstrip()


def _release(key: Any) -> None:
    engine = _engines.give(key)
    if engine is not None:
        engine.prompts.shutdown(wait=True, cancel_futures=True)
        engine.batcher.close()
        engine.loaded.free()


def _is_cancelled() -> bool:
    """Whether it is the caller's task that was cancelled, and not what it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
