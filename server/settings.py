"""All settings of the server: from a file, the environment and flags; later ones win."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from guard.guarding.settings import GuardSettings
from rules.base import Closed


class UpstreamSettings(Closed):
    """The model behind the server."""

    url: str = ""
    """Address up to and with `/v1`; empty where a local model answers."""
    kind: Literal["openai", "anthropic"] = "openai"
    """What it speaks."""
    apis: tuple[Literal["chat_completions", "messages", "responses"], ...] = ()
    """The dialects it is asked in directly; others are translated. Empty: `chat_completions` of `openai`, `messages` of
    `anthropic`."""
    key: SecretStr | None = None
    """Its key. Without one the client's own credentials are handed on, but only where clients need no key of ours."""
    model: str = ""
    """A local model in this process: `embedded`, `gguf:FILE`, `hf:ID`."""
    connect_s: Annotated[float, Field(gt=0)] = 5.0
    first_s: Annotated[float, Field(gt=0)] = 60.0
    """Seconds to the first byte of an answer."""
    gap_s: Annotated[float, Field(gt=0)] = 30.0
    """Seconds between two pieces of a stream."""
    total_s: Annotated[float, Field(gt=0)] = 600.0
    connections: Annotated[int, Field(ge=1)] = 1000
    answer_bytes: Annotated[int, Field(ge=1024)] = 16 * 2**20
    """Bytes of an answer, streamed or not, after which it is broken off."""


class LimitSettings(Closed):
    """Bounds on requests."""

    body_bytes: Annotated[int, Field(ge=1024)] = 8 * 2**20
    messages: Annotated[int, Field(ge=1)] = 1000
    text_chars: Annotated[int, Field(ge=100)] = 2_000_000
    """Characters of all texts of a request together."""
    seconds: Annotated[float, Field(gt=0)] = 900.0
    """A whole request may take."""
    in_flight: Annotated[int, Field(ge=1)] = 256
    """Requests a worker has in hand; more are told to come again."""


class TellSettings(Closed):
    """What clients are told."""

    headers: bool = True
    """`x-wardlaw-*` headers."""
    body: Literal["never", "asked", "always"] = "asked"
    """The `wardlaw` object in answers; `asked`: where the request has the header `x-wardlaw-tell: body`."""
    detail: Literal["rule", "finding"] = "rule"
    """`rule`: its id, title and why; `finding`: where and by which detector as well, never the pattern."""
    ending: Literal["filter", "refusal"] = "filter"
    """How the guard's reply is shaped."""
    block_status: Annotated[int, Field(ge=200, le=499)] = 200
    """200: the reply comes as an answer; a 4xx: as the API's own error, where nothing has been sent yet."""


class ServerSettings(Closed):
    """Everything that can be set."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    constitutions: Mapping[str, tuple[str, ...]] = Field(default_factory=lambda: {"default": ("base",)})
    """Name -> packs and files, as `--rules` takes them."""
    folder: Path = Path("wardlaw-data")
    """Where journals and the SQLite database lie."""
    upstream: UpstreamSettings = UpstreamSettings()
    guard: GuardSettings = GuardSettings()
    limits: LimitSettings = LimitSettings()
    tell: TellSettings = TellSettings()
