"""vLLM in a process of its own, begun with the model and ended with it; needs `vllm` to be installed.

    vllm:Qwen/Qwen3-8B                                        `vllm serve` on a free port of 127.0.0.1
    vllm:/models/qwen?tensor_parallel_size=2&enforce_eager    options of `vllm serve`, by their names

A process and not a library call: vLLM's engine then dies, or is begun anew, without the process that asks it, and what
it answers goes the same way as that of any endpoint. A worker of a cluster begins its own on the GPUs it was given.
"""

from __future__ import annotations

import asyncio
import http.client
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from pathlib import Path
from urllib.parse import parse_qsl

from guard.models import openai
from guard.models.base import Ask, ModelConfigError, ModelUnavailable, Piece, Reply

COMMAND = "vllm"
_OURS = frozenset({"host", "port", "model", "api_key", "served_model_name", "uds"})
_LOADING_S = 3600.0
"""Weights of hundreds of gigabytes are read from a network disk, and compiled for."""
_LOOK_S = 0.25
_END_S = 15.0
_PATIENCE = 120
"""Seconds for one call with its retries: a server that does not answer for so long is begun anew by who asks."""


def open_model(spec: str, *, concurrency: int) -> VLLMModel:
    """Begin the server, and wait until it is ready.

    Raises:
        ModelConfigError: vLLM is not installed, an option is ours to set, or the server ended before it was ready.
    """
    name, options = _read(spec)
    command = shutil.which(COMMAND)
    if command is None:
        raise ModelConfigError(
            f"`vllm:{name}` needs the command `vllm`", "pip install vllm, on a machine with a GPU it knows"
        )
    served = _Served(command, name, options)
    try:
        served.wait_until_ready()
    except BaseException:
        served.end()
        raise
    return VLLMModel(spec, name, served, concurrency=concurrency)


class VLLMModel:
    """A chat model that vLLM computes for this process alone."""

    local = True

    def __init__(self, spec: str, name: str, served: _Served, *, concurrency: int) -> None:
        self._spec = spec
        self._served = served
        address = f"http://127.0.0.1:{served.port}/v1?patience={_PATIENCE}#{name}"
        self._client = openai.open_model(address, concurrency=concurrency)

    @property
    def identity(self) -> str:
        """The model and the options of its server."""
        name, options = _read(self._spec)
        told = "&".join(f"{key}={value}" if value else key for key, value in sorted(options.items()))
        return f"vllm:{name}?{told}" if told else f"vllm:{name}"

    async def chat(self, ask: Ask) -> Reply:
        """Answer one conversation.

        Raises:
            ModelError: as OpenAIModel.chat; ModelUnavailable with the server's last words where it ended.
        """
        try:
            return await self._client.chat(ask)
        except ModelUnavailable as error:
            raise await self._seen(error) from error

    async def stream(self, ask: Ask) -> AsyncGenerator[Piece, None]:
        """Answer one conversation piece by piece.

        Raises:
            ModelError: as `chat`.
        """
        try:
            async with aclosing(self._client.stream(ask)) as pieces:
                async for piece in pieces:
                    yield piece
        except ModelUnavailable as error:
            raise await self._seen(error) from error

    async def close(self) -> None:
        """End the server."""
        await self._client.close()
        self._served.end()

    async def _seen(self, error: ModelUnavailable) -> ModelUnavailable:
        """The error, or what the server said before it ended."""
        if not await asyncio.to_thread(self._served.ended, within_s=_END_S if error.endpoint_down else 0.0):
            return error
        return ModelUnavailable(
            f"the server of `vllm:{self._spec}` ended: {self._served.last_words()}",
            "see what it says; the next run begins it anew",
            endpoint_down=True,
        )


class _Served:
    """The server's process, on a leash, and its log."""

    def __init__(self, command: str, name: str, options: dict[str, str]) -> None:
        self.port = _free_port()
        flags: list[str] = []
        for key, value in options.items():
            flags += [f"--{key.replace('_', '-')}", *([value] if value else [])]
        self._folder = tempfile.TemporaryDirectory(prefix="wardlaw-vllm-")
        self._log = Path(self._folder.name) / "log.txt"
        leash = [sys.executable, str(Path(__file__).with_name("_leash.py"))]
        served = [command, "serve", name, "--host", "127.0.0.1", "--port", str(self.port), *flags]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603  # the command is vLLM's, the words are the user's
                [*leash, *served], stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT
            )

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def ended(self, *, within_s: float) -> bool:
        """Whether it is not running any more; it may be about to end."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(within_s)
        return not self.running

    def wait_until_ready(self) -> None:
        """Until the server answers.

        Raises:
            ModelConfigError: it ended, or is not ready for an hour.
        """
        deadline = time.monotonic() + _LOADING_S
        while not self._answers():
            if not self.running:
                raise ModelConfigError(f"vLLM ended before it was ready: {self.last_words()}", "mend what it names")
            if time.monotonic() > deadline:
                raise ModelConfigError(f"vLLM is not ready after {_LOADING_S:.0f} s: {self.last_words()}")
            time.sleep(_LOOK_S)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def last_words(self) -> str:
        """The last lines that the server wrote."""
        try:
            lines = self._log.read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError:
            return "its log is gone"
        return " / ".join(line.strip() for line in lines if line.strip())[-600:] or "it wrote nothing"

    def end(self) -> None:
        """End the process and all that it began; may be called twice."""
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()  # the leash ends the server
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()


def _read(spec: str) -> tuple[str, dict[str, str]]:
    """The model and the options for its server.

    Raises:
        ModelConfigError: no model, or an option that is no option of a server or is ours to set.
    """
    name, _, tail = spec.partition("?")
    if not name:
        raise ModelConfigError("`vllm:` without a model", "write `vllm:Qwen/Qwen3-8B`, or a folder in its place")
    pairs = [(part, "") if "=" not in part else parse_qsl(part, keep_blank_values=True)[0] for part in _parts(tail)]
    for key, _ in pairs:
        if key in _OURS or not re.fullmatch(r"[a-z][a-z0-9_]*", key):
            raise ModelConfigError(
                f"option `{key}` in the model name `vllm:{spec}`",
                "give options of `vllm serve` as they are called in Python, as `max_model_len=8192`; host, port and"
                " names are chosen here",
            )
    return name, dict(pairs)


def _parts(tail: str) -> list[str]:
    return [part for part in tail.split("&") if part]


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
