"""A model in this process, asked as an upstream is: in chat completions."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Any

import orjson

from guard.models.base import (
    Ask,
    ChatModel,
    ContentRefused,
    ContextTooLong,
    ModelConfigError,
    ModelError,
    ModelUnavailable,
    Piece,
    Reply,
    TokenLogprob,
    Usage,
    streamed,
)
from server.upstreams._local_ask import Wanted, wanted
from server.upstreams.base import Answered, Event, UpstreamFault

_FINISH = {"stop": "stop", "length": "length", "filter": "content_filter"}
_DONE = Event(b"data: [DONE]\n\n", None, "", "done")


class LocalUpstream:
    """A chat model as an upstream. Whatever model a request names, this one answers, and says so in the answer."""

    def __init__(self, model: ChatModel, name: str) -> None:
        """Args: model: closed with this. name: what clients see."""
        self._model = model
        self._name = name
        self._created = int(time.time())
        self._closed = False

    @property
    def identity(self) -> str:
        """That of the model."""
        return self._model.identity

    def speaks(self, dialect: str) -> bool:
        """Whether it can be asked in this dialect."""
        return dialect == "chat_completions"

    async def ask(self, dialect: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> Answered:
        """Ask for a whole answer; several choices are several asks, side by side.

        Raises:
            UpstreamFault: 400: the request wants what the model has not; 503: it is closed.
        """
        asks = wanted(body).asks
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._reply(ask)) for ask in asks]
        faults = [outcome for task in tasks if isinstance(outcome := task.result(), UpstreamFault)]
        if faults:
            raise faults[0]
        replies = [outcome for task in tasks if isinstance(outcome := task.result(), Reply)]
        data = self._shape("chat.completion") | {
            "choices": [_choice(n, reply, ask) for n, (reply, ask) in enumerate(zip(replies, asks, strict=True))],
            "usage": _usage(replies),
        }
        return Answered(200, orjson.dumps(data), data, {})

    def stream(
        self, dialect: str, body: Mapping[str, Any], headers: Mapping[str, str]
    ) -> AbstractAsyncContextManager[tuple[Mapping[str, str], AsyncIterator[Event]]]:
        """Ask for a stream; leaving it ends the model's work.

        Raises:
            UpstreamFault: as for `ask`, on entering; while it is read, that the model broke off.
        """
        return self._stream(body)

    async def ready(self) -> bool:
        """Whether it is open."""
        return not self._closed

    async def passed(
        self, method: str, path: str, raw: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """The list of models, which is this one.

        Raises:
            UpstreamFault: 404: anything else.
        """
        shown = {"id": self._name, "object": "model", "created": self._created, "owned_by": "local"}
        where = path.partition("?")[0].removeprefix("/v1").strip("/")
        if method == "GET" and where == "models":
            return 200, orjson.dumps({"object": "list", "data": [shown]}), {"content-type": "application/json"}
        if method == "GET" and where == f"models/{self._name}":
            return 200, orjson.dumps(shown), {"content-type": "application/json"}
        told = f"the local model behind this server has no `{where}`"
        raise UpstreamFault(404, "not_found", "a path that a local model has not", told=told)

    async def close(self) -> None:
        """Close the model. May be called twice."""
        self._closed = True
        await self._model.close()

    async def _reply(self, ask: Ask) -> Reply | UpstreamFault:
        """An answer; the fault is given and not raised, since a group of tasks would wrap it."""
        try:
            return await self._model.chat(ask)
        except ModelError as error:
            return _fault(error)

    @asynccontextmanager
    async def _stream(
        self, body: Mapping[str, Any]
    ) -> AsyncGenerator[tuple[Mapping[str, str], AsyncIterator[Event]], None]:
        asked = wanted(body)
        async with aclosing(_pieces(self._model, asked.asks)) as pieces:
            # a conversation that the model refuses is refused here, while the client can still be told by a status
            first = await anext(pieces)
            async with aclosing(self._events(asked, first, pieces)) as events:
                yield {}, events

    async def _events(
        self, asked: Wanted, first: tuple[int, Piece], pieces: AsyncIterator[tuple[int, Piece]]
    ) -> AsyncGenerator[Event, None]:
        shape = self._shape("chat.completion.chunk")
        if asked.include_usage:
            shape["usage"] = None
        for n in range(len(asked.asks)):
            yield _chunk(shape, n, {"role": "assistant", "content": ""})
        replies: list[Reply] = []
        for event in _of_piece(shape, asked, *first):
            yield event
        async for n, piece in pieces:
            for event in _of_piece(shape, asked, n, piece):
                yield event
            if piece.reply is not None:
                replies.append(piece.reply)
        if first[1].reply is not None:
            replies.append(first[1].reply)
        if asked.include_usage:
            yield _event(shape | {"choices": [], "usage": _usage(replies)})
        yield _DONE

    def _shape(self, kind: str) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": kind,
            "created": int(time.time()),
            "model": self._name,
        }


async def _pieces(model: ChatModel, asks: Sequence[Ask]) -> AsyncGenerator[tuple[int, Piece], None]:
    """The pieces of all choices as they come, each with its choice's number; leaving ends the work on all.

    Raises:
        UpstreamFault: the model cannot answer.
    """
    coming: asyncio.Queue[tuple[int, Piece | Exception]] = asyncio.Queue()

    async def follow(number: int, ask: Ask) -> None:
        try:
            async with aclosing(streamed(model, ask)) as pieces:
                async for piece in pieces:
                    coming.put_nowait((number, piece))
        except Exception as error:  # the one who waits must hear of it, whatever it was, or waits for ever
            coming.put_nowait((number, error))

    tasks = [asyncio.create_task(follow(number, ask)) for number, ask in enumerate(asks)]
    left = len(tasks)
    try:
        while left:
            number, piece = await coming.get()
            if isinstance(piece, Exception):
                raise _fault(piece) if isinstance(piece, ModelError) else piece
            left -= piece.reply is not None
            yield number, piece
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _of_piece(shape: Mapping[str, Any], asked: Wanted, number: int, piece: Piece) -> list[Event]:
    events = []
    if piece.reasoning:
        events.append(_chunk(shape, number, {"reasoning_content": piece.reasoning}))
    if piece.text or piece.logprobs:
        logprobs = _logprobs(piece.logprobs, asked.asks[number].logprobs)
        events.append(_chunk(shape, number, {"content": piece.text}, logprobs=logprobs))
    if piece.reply is not None:
        events.append(_chunk(shape, number, {}, finish=_FINISH[piece.reply.finish]))
    return events


def _fault(error: ModelError) -> UpstreamFault:
    """What a client is told of a model's fault; the text of these errors holds no content."""
    if isinstance(error, ContextTooLong):
        return UpstreamFault(400, "invalid_request", error.what, error.hint, told=f"messages: {error.what}")
    if isinstance(error, ContentRefused):
        return UpstreamFault(400, "content_filter", error.what, error.hint, told=error.what)
    if isinstance(error, ModelUnavailable):
        return UpstreamFault(503, "upstream", error.what, error.hint)
    if isinstance(error, ModelConfigError) or isinstance(error.__cause__, RuntimeError):
        return UpstreamFault(502, "upstream", error.what, error.hint)
    return UpstreamFault(400, "invalid_request", "the local model refuses a request", error.hint, told=error.what)


def _choice(number: int, reply: Reply, ask: Ask) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text, "refusal": None}
    if reply.reasoning:
        message["reasoning_content"] = reply.reasoning
    logprobs = _logprobs(reply.logprobs or (), ask.logprobs)
    return {"index": number, "message": message, "logprobs": logprobs, "finish_reason": _FINISH[reply.finish]}


def _chunk(
    shape: Mapping[str, Any],
    number: int,
    delta: Mapping[str, Any],
    *,
    finish: str | None = None,
    logprobs: Mapping[str, Any] | None = None,
) -> Event:
    choice = {"index": number, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
    return _event({**shape, "choices": [choice]})


def _event(data: dict[str, Any]) -> Event:
    return Event(b"data: " + orjson.dumps(data) + b"\n\n", data)


def _logprobs(tokens: Sequence[TokenLogprob], count: int) -> dict[str, Any] | None:
    if not tokens or not count:
        return None
    shown = [
        _token(token.token, token.logprob)
        | {"top_logprobs": [_token(*other) for other in list(token.top.items())[:count]]}
        for token in tokens
    ]
    return {"content": shown, "refusal": None}


def _token(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}


def _usage(replies: Sequence[Reply]) -> dict[str, int]:
    """The prompt is one however many choices answer it."""
    spent = sum((reply.usage for reply in replies), Usage())
    prompt = max((reply.usage.prompt for reply in replies), default=0)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": spent.completion,
        "total_tokens": prompt + spent.completion,
    }
