"""The one protocol of a chat model, what goes in, what comes out, and what can go wrong.

ModelError                  a model could not answer
  ModelConfigError          the name, the path or the key is wrong: no call can succeed, the run stops
  ModelUnavailable          retries are used up; `endpoint_down` says whether anything answered at all
  ContextTooLong            this conversation does not fit the model
  ContentRefused            the provider's own filter refused to answer this conversation
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from guard.exchange import Message
from rules.errors import WardlawError


@dataclass(frozen=True, slots=True)
class Sampling:
    """How an answer is drawn."""

    temperature: float = 0.7
    top_p: float = 1.0
    max_tokens: int = 512
    seed: int | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ask:
    """One call: everything that determines the answer, but the model."""

    messages: tuple[Message, ...]
    sampling: Sampling = field(default_factory=Sampling)
    schema: Mapping[str, Any] | None = None
    """A JSON Schema that the answer must fit. A backend that cannot constrain its output ignores it."""
    logprobs: int = 0
    """How many log-probabilities a token to return, where the backend has them."""
    template: Mapping[str, object] = field(default_factory=dict)
    """What the model's own chat template is told beside the messages, by the names of its variables; JSON values. A
    server that applies the template takes them as `chat_template_kwargs`."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call."""

    prompt: int = 0
    completion: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.prompt + other.prompt, self.completion + other.completion)


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """One generated token, its natural-log probability, and the likeliest tokens in its place."""

    token: str
    logprob: float
    top: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model answered."""

    text: str
    finish: Literal["stop", "length", "filter"] = "stop"
    """`length`: cut off at `max_tokens`; `filter`: the provider withheld the rest."""
    reasoning: str | None = None
    usage: Usage = field(default_factory=Usage)
    logprobs: tuple[TokenLogprob, ...] | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """What a model has written since the piece before."""

    text: str = ""
    reasoning: str = ""
    logprobs: tuple[TokenLogprob, ...] = ()
    """Of the tokens in `text`, where they were asked for and come with it."""
    reply: Reply | None = None
    """In the last piece alone: the whole answer. Its text and reasoning are those of all pieces joined."""


@runtime_checkable
class ChatModel(Protocol):
    """A chat model. Calls may run concurrently; a model bounds its own concurrency."""

    @property
    def identity(self) -> str:
        """What determines its answers: backend, endpoint or weights, model name. Never a key."""

    @property
    def local(self) -> bool:
        """Whether it computes in this process: then a few calls at once fill it, where a server takes many."""

    async def chat(self, ask: Ask) -> Reply:
        """Answer one conversation.

        Raises:
            ModelError: one of its children, as the module's head says.
        """

    async def close(self) -> None:
        """Let go of connections, threads and memory. May be called twice."""


@runtime_checkable
class StreamingChatModel(ChatModel, Protocol):
    """A chat model that gives its answer while it writes it."""

    def stream(self, ask: Ask) -> AsyncGenerator[Piece, None]:
        """Answer one conversation piece by piece. Closing the generator (`aclose`) ends the work on the answer.

        Raises:
            ModelError: while it is read, as for `chat`.
        """


async def streamed(model: ChatModel, ask: Ask) -> AsyncGenerator[Piece, None]:
    """The pieces of an answer: one alone, where the model cannot stream.

    Raises:
        ModelError: while it is read, as for `ChatModel.chat`.
    """
    if not isinstance(model, StreamingChatModel):
        reply = await model.chat(ask)
        yield Piece(reply.text, reply.reasoning or "", reply.logprobs or (), reply)
        return
    async with aclosing(model.stream(ask)) as pieces:
        async for piece in pieces:
            yield piece


class ModelError(WardlawError):
    """A model could not answer."""


class ModelConfigError(ModelError):
    """The name, path or key is wrong: no call can succeed."""


class ModelUnavailable(ModelError):
    """Retries are used up."""

    def __init__(self, what: str, hint: str = "", *, endpoint_down: bool = False) -> None:
        super().__init__(what, hint)
        self.endpoint_down = endpoint_down


class ContextTooLong(ModelError):
    """The conversation does not fit the model's context."""


class ContentRefused(ModelError):
    """The provider's filter refused to answer this conversation."""
