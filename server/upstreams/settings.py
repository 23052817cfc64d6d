"""Settings of the model behind the server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from rules.base import Closed, refusal
from server.secret_files import with_secret


class UpstreamSettings(Closed):
    """The model behind the server."""

    url: str = ""
    """Address up to and with `/v1`, which is added where there is no path; empty where a local model answers."""
    kind: Literal["openai", "anthropic"] = "openai"
    """What it speaks."""
    apis: tuple[Literal["chat_completions", "messages", "responses"], ...] = ()
    """The dialects it is asked in directly; others are translated. Empty: `chat_completions` of `openai`, `messages` of
    `anthropic`."""
    key: SecretStr | None = None
    """Its key. Without one the client's own credentials are handed on, but only where clients need no key of ours."""
    key_file: Path | None = None
    """A file with its key, read at the start: for secrets that are mounted as files."""
    model: str = ""
    """A local model in this process (`embedded`, `gguf:FILE`, `hf:ID`), or many servers of one as
    `pool:http://a/v1,http://b/v1#name`. Asked as a local model is: no tools."""
    connect_s: Annotated[float, Field(gt=0)] = 5.0
    """Seconds until a connection must stand."""
    first_s: Annotated[float, Field(gt=0)] = 60.0
    """Seconds to the first byte of an answer."""
    gap_s: Annotated[float, Field(gt=0)] = 30.0
    """Seconds between two pieces of a stream."""
    total_s: Annotated[float, Field(gt=0)] = 600.0
    """Seconds a whole answer may take."""
    connections: Annotated[int, Field(ge=1)] = 1000
    """Connections at once, a worker."""
    answer_bytes: Annotated[int, Field(ge=1024)] = 16 * 2**20
    """Bytes of an answer, streamed or not, after which it is broken off."""

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        if not url:
            return url
        hint = "write it as `http://127.0.0.1:8000/v1`"
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            usable = False
        if not usable:
            shown = url.rpartition("@")[2]
            raise refusal([((), f"`{shown}` is no address of a server", hint)])
        if parts.username or parts.password:
            # The address stands in logs and metrics.
            raise refusal([((), "the address holds a user or a password", "give the key as `upstream.key`")])
        if parts.query or parts.fragment:
            raise refusal([((), f"the address `{url}` goes on after its path", hint)])
        return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/") or "/v1", "", ""))

    @model_validator(mode="before")
    @classmethod
    def _read_key_file(cls, given: Any) -> Any:
        return with_secret(given, "key_file", "key")
