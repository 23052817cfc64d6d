"""`gguf:PATH`: a chat model in one GGUF file, run in this process by llama.cpp.

Options stand behind a `?`: `gguf:model.gguf?context=4096&threads=2&slots=4`. `context` is what one conversation may
take, prompt and answer together; `slots` is how many are answered at once (continuous batching); `cache` is how many
MiB of read prompts are kept, so that the long beginnings that rules share are read once (0: none).
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncGenerator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guard.models._call import Call
from guard.models._handover import CancelledWork, Handover
from guard.models._shared import Shared
from guard.models._spec import at_least, missing_hint, split_options, weights_mark
from guard.models.base import (
    Ask,
    ChatModel,
    ContextTooLong,
    ModelConfigError,
    ModelError,
    ModelUnavailable,
    Piece,
    Reply,
)

CONTEXT = 4096
"""Tokens of one conversation, unless the name says otherwise; llama.cpp lowers it to what the model was trained on."""

CACHE = 2048
"""MiB of prompts kept, unless the name says otherwise. Five rules' critique prompts in turn, a 1.5B model: read for the
first time 64 s, from this cache 13 s. llama.cpp's own default is 8 GiB."""

SLOTS = 8
"""Conversations at once, unless the name says otherwise; docs/figures/local_throughput.md has the figures."""


@dataclass(frozen=True, slots=True)
class _Key:
    """What makes two openings the same engine: the very file, not only its name, and how it is run."""

    path: str
    inode: int
    size: int
    mtime: int
    context: int
    threads: int
    slots: int
    cache: int


_engines: Shared[_Engine] = Shared()


def open_model(spec: str, *, concurrency: int) -> ChatModel:
    """Open `PATH?context=N&threads=N&slots=N&cache=MIB`.

    The same file opened again with the same options shares its memory.

    Raises:
        ModelConfigError: no such file, not a GGUF file, one that llama.cpp cannot run, or llama.cpp is not installed.
    """
    readers = {"context": at_least(64), "threads": at_least(1), "slots": at_least(1), "cache": at_least(0)}
    what, options = split_options(spec, readers)
    path = Path(what).expanduser()
    _check_file(path, what)
    stat = path.stat()
    key = _Key(
        path=str(path.resolve()),
        inode=stat.st_ino,
        size=stat.st_size,
        mtime=stat.st_mtime_ns,
        context=options.get("context", CONTEXT),
        threads=options.get("threads", _cores()),
        slots=options.get("slots", max(1, min(concurrency, SLOTS))),
        cache=options.get("cache", CACHE),
    )
    return GgufModel(_engines.take(key, lambda: _Engine(key)), f"gguf:{path.name}@{weights_mark(path)}")


class GgufModel:
    """One opening of a GGUF file. Answers with the same seed agree up to rounding, which batching can change."""

    local = True

    def __init__(self, engine: _Engine, identity: str) -> None:
        self._engine: _Engine | None = engine
        self._identity = identity

    @property
    def identity(self) -> str:
        """`gguf:<file name>@<mark of its bytes>`."""
        return self._identity

    async def chat(self, ask: Ask) -> Reply:
        """Answer one conversation; a prompt that fits leaves the answer what is left of the context, then `length`.

        Raises:
            ContextTooLong: the prompt fills the context.
            ModelConfigError: the schema cannot be followed.
            ModelError: the model's chat template refuses the conversation.
            ModelUnavailable: the model was closed.
        """
        if self._engine is None:
            raise ModelUnavailable(f"model `{self._identity}` is closed", "open it again")
        call = Call(ask)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._engine.pool, self._engine.answer, call)
        except asyncio.CancelledError:
            # llama.cpp would go on to the last token and keep the slot from the others
            call.cancelled.set()
            task = asyncio.current_task()
            if self._engine is None and task is not None and not task.cancelling():
                raise ModelUnavailable(f"model `{self._identity}` was closed", "open it again") from None
            raise

    async def stream(self, ask: Ask) -> AsyncGenerator[Piece, None]:
        """Answer one conversation, a piece for each token or so; closing the generator frees its slot.

        Raises:
            ModelError: as for `chat`.
        """
        if self._engine is None:
            raise ModelUnavailable(f"model `{self._identity}` is closed", "open it again")
        pieces: Handover[Piece, Reply] = Handover()
        call = Call(ask, pieces.put)
        try:
            async with aclosing(pieces.until(self._engine.pool.submit(self._engine.answer, call))) as coming:
                async for piece in coming:
                    yield piece
            yield Piece(reply=pieces.result())
        except CancelledWork:
            raise ModelUnavailable(f"model `{self._identity}` was closed", "open it again") from None
        finally:
            call.cancelled.set()

    async def close(self) -> None:
        """Let go of the file; the memory is freed with its last opening."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await asyncio.get_running_loop().run_in_executor(None, _release, engine)


class _Engine:
    """One file in memory, with its threads. Shared by all that opened it the same way."""

    def __init__(self, key: _Key) -> None:
        self.key = key
        self.server = _start(key)
        # one thread a slot: asks beyond the slots wait here, where a cancelled one costs nothing
        self.pool = ThreadPoolExecutor(key.slots, thread_name_prefix="gguf")

    def answer(self, call: Call) -> Reply:
        """Answer one call; runs in a thread of the pool, llama.cpp joins the calls of all threads into one batch."""
        if call.cancelled.is_set():
            return call.reply()
        try:
            self.server.handle_chat_completions(call.request(), call.take)
        except (RuntimeError, TypeError, ValueError) as error:
            raise self._error({"message": str(error)}, call.ask) from None
        if call.error is not None:
            raise self._error(call.error, call.ask)
        if not call.finish and not call.cancelled.is_set():
            raise ModelUnavailable(f"llama.cpp ended an answer of `{self.key.path}` without a reason", "run it again")
        return call.reply()

    def _error(self, error: Mapping[str, Any], ask: Ask) -> ModelError:
        message = " ".join(str(error.get("message", error)).split())
        if error.get("type") == "exceed_context_size_error":
            return ContextTooLong(
                f"the conversation has {error['n_prompt_tokens']} tokens and the model takes {error['n_ctx']}",
                f"shorten it, or open the model with `?context={2 * self.key.context}`",
            )
        if ask.schema is not None and "schema" in message.lower():
            return ModelConfigError(f"llama.cpp cannot follow the schema: {message}", "use plain JSON Schema keywords")
        return ModelError(
            f"llama.cpp refuses the conversation: {message}", "see that the model's chat template allows these roles"
        )


def _release(engine: _Engine) -> None:
    if _engines.give(engine.key) is not None:
        engine.pool.shutdown(wait=True, cancel_futures=True)
        del engine.server  # the last reference: llama.cpp stops its loop and frees the weights


def _start(key: _Key) -> Any:
    try:
        import xllamacpp
    except ImportError:
        raise ModelConfigError("llama.cpp is not installed", "pip install 'wardlaw[gguf]'") from None
    params = xllamacpp.CommonParams()
    params.verbosity = -1  # nothing of llama.cpp on the user's terminal
    params.model.path = key.path
    params.n_ctx = key.context * key.slots
    params.n_parallel = key.slots
    params.kv_unified = False
    params.cache_ram_mib = key.cache
    params.cpuparams.n_threads = key.threads
    params.cpuparams_batch.n_threads = key.threads
    params.prefill_assistant = False
    # The library opens a port on loopback that nothing here uses. Without a key any web page the user visits could
    # talk to the model through it.
    params.api_keys = [secrets.token_urlsafe(32)]
    params.cors_origins = ""
    params.ui = False
    params.endpoint_slots = False
    params.n_threads_http = 1
    try:
        return xllamacpp.Server(params)
    except (RuntimeError, ValueError):
        raise ModelConfigError(
            f"llama.cpp cannot load `{key.path}`",
            "the file may be cut short (compare its size with the source), of a model that this llama.cpp does not"
            " know, or too large for the memory: lower `?context=` or `?slots=`",
        ) from None


def _check_file(path: Path, name: str) -> None:
    if not name:
        raise ModelConfigError("`gguf:` names no file", "write `gguf:PATH`, as `gguf:models/model.gguf`")
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except FileNotFoundError:
        raise ModelConfigError(f"no model file `{name}`", missing_hint(path, "file", ".gguf")) from None
    except IsADirectoryError:
        raise ModelConfigError(f"`{name}` is a folder", "name the .gguf file in it") from None
    except OSError as error:
        raise ModelConfigError(f"cannot read `{name}`: {error.strerror}", "look at the file's permissions") from None
    if magic != b"GGUF":
        raise ModelConfigError(f"`{name}` is not a GGUF file", "a folder of safetensors is opened by `hf:PATH`")


def _cores() -> int:
    """The cores this process may use, which in a container can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
