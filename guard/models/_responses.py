"""What an OpenAI-compatible endpoint answers, read off the network: a whole completion, or a stream of pieces."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

from guard.models._endpoint import Endpoint
from guard.models._flow import Flow
from guard.models._patience import Passing
from guard.models._refusals import meaning, refusal_in
from guard.models._sse import Frames
from guard.models._wire import Garbled, read_reply
from guard.models.base import Ask, ContentRefused, ModelUnavailable, Piece, Reply

if TYPE_CHECKING:
    import aiohttp

_MOST_BYTES = 64 * 2**20
"""A body longer than this is no chat completion; reading on would fill the memory."""


class BrokeOff(ModelUnavailable):
    """A stream that began and is of no use."""

    why = ""
    """In a few words, without the endpoint's name."""


async def read_body(response: aiohttp.ClientResponse) -> bytes:
    """All of a body.

    Raises:
        ValueError: it is longer than any answer.
    """
    if 0 <= (response.content_length or -1) <= _MOST_BYTES:
        return await response.read()
    pieces, size = [], 0
    async for piece in response.content.iter_any():
        pieces.append(piece)
        size += len(piece)
        if size > _MOST_BYTES:
            raise ValueError("the body has no end")
    return b"".join(pieces)


def read_answer(answer: Any, endpoint: Endpoint) -> Reply:
    """The reply in a whole answer's JSON.

    Raises:
        Passing: it is no chat completion.
        ContentRefused: the provider's filter left nothing.
    """
    try:
        return read_reply(answer)
    except Garbled as fault:
        raise Passing("broken", f"sends {fault}") from None
    except ContentRefused as refused:
        raise _refused(refused, endpoint) from None


async def pieces_of(response: aiohttp.ClientResponse, ask: Ask, endpoint: Endpoint) -> AsyncGenerator[Piece, None]:
    """The pieces of a response to their end; one, where a server that cannot stream answers whole.

    Raises:
        ModelUnavailable: it breaks off, or is neither.
        ModelError: an error that came with status 200.
    """
    if response.content_type != "text/event-stream":
        reply = await _whole(response, endpoint)
        yield Piece(reply.text, reply.reasoning or "", reply.logprobs or (), reply)
        return
    import aiohttp

    flow, frames, ended, why = Flow(logprobs=bool(ask.logprobs)), Frames(), False, ""
    try:
        while not ended:
            chunk = await response.content.readany()
            for frame in frames.feed(chunk) if chunk else frames.close():
                ended = ended or (frame.data or b"").strip() == b"[DONE]"
                if frame.data is None or ended:
                    continue
                piece = flow.feed(json.loads(frame.data))
                if piece is not None:
                    yield piece
            if not chunk:
                break
    except Garbled as fault:
        why = f"sends {fault}"
    except (ValueError, RecursionError):
        why = "sends what is no stream of events"
    except (aiohttp.ClientError, OSError) as error:
        why = f"broke off its answer ({type(error).__name__})"
    # some servers close without the last mark, but none has ended an answer without a word on how it ended
    if why or not (ended or flow.finished):
        raise _broke(why or "broke off its answer", endpoint)
    try:
        last = flow.close()
    except ContentRefused as refused:
        raise _refused(refused, endpoint) from None
    for piece in last:
        yield piece


async def _whole(response: aiohttp.ClientResponse, endpoint: Endpoint) -> Reply:
    import aiohttp

    try:
        answer = json.loads(await read_body(response))
        refusal = refusal_in(answer, 200) if isinstance(answer, dict) and answer.get("error") else None
        if refusal is None:
            return read_answer(answer, endpoint)
        error = meaning(refusal, response.headers, endpoint)
    except Passing as fault:
        error = fault
    except (aiohttp.ClientError, OSError, ValueError, RecursionError):
        error = Passing("broken", "answers with what is neither a stream nor JSON")
    raise _broke(error.what, endpoint) if isinstance(error, Passing) else error


def _broke(why: str, endpoint: Endpoint) -> BrokeOff:
    hint = "look at the server's log, and at what stands between it and here"
    error = BrokeOff(f"`{endpoint.base}` {why} (`{endpoint.model}`, in a stream)", hint)
    error.why = why
    return error


def _refused(refused: ContentRefused, endpoint: Endpoint) -> ContentRefused:
    what = f"{refused.what} (`{endpoint.model}` at `{endpoint.base}`)"
    return ContentRefused(what, "ask another model, or leave this prompt out")
