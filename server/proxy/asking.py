"""Prompt gate and upstream call side by side: both begin at once, and nothing is handed on before the verdict."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from guard.guarding.incoming import Answer
from guard.guarding.rulings import Admission
from rules.schema import Action
from server.proxy.call import Call
from server.upstreams.base import Answered

T = TypeVar("T")


async def admitted(
    call: Call,
    ask: Callable[[Mapping[str, Any]], Awaitable[T]],
    undo: Callable[[T], Awaitable[None]] | None = None,
    *,
    stream: bool = False,
) -> tuple[Admission, T | None]:
    """Judge the prompt and ask the model.

    Where judging takes microseconds it is done first. Else both begin at once, unless a rule redacts prompts; what was
    asked too early is cancelled.

    Args:
        call: the request.
        ask: asks the model with a body.
        undo: lets go of what `ask` came to, where it is not wanted.
        stream: whether `ask` asks for a stream, which is not wanted where the answer has to be had whole.

    Returns:
        the admission, and what `ask` came to; None where that is not wanted.

    Raises:
        UpstreamFault: of `ask`.
    """
    watch = call.watch
    if watch.instant or not watch.early:
        admission = await watch.admit()
        if not _wanted(admission, stream):
            return admission, None
        return admission, await ask(edited(call, admission))
    asking = asyncio.ensure_future(ask(call.body))
    try:
        admission = await watch.admit()
        if _wanted(admission, stream) and not admission.edits:
            return admission, await asking
    except BaseException:
        await _let_go(asking, undo)
        raise
    await _let_go(asking, undo)
    if not _wanted(admission, stream):
        return admission, None
    return admission, await ask(edited(call, admission))


def edited(call: Call, admission: Admission) -> dict[str, Any]:
    """The request as the model may see it."""
    return call.dialect.edited(call.body, admission.edits) if admission.edits else call.body


async def whole(call: Call, body: Mapping[str, Any]) -> Answered:
    """Ask for a whole answer.

    The body is written anew: a client's own bytes may name a member twice, and who reads the first of the two reads
    another text than the gate did.

    Raises:
        UpstreamFault: see `Upstream.ask`.
    """
    began = time.perf_counter()
    try:
        return await call.parts.upstream.ask(call.dialect.name, body, call.onward)
    finally:
        took = time.perf_counter() - began
        call.upstream_s += took
        call.watch.spent("upstream", took)


def redraw(call: Call, body: dict[str, Any]) -> Callable[[int], Awaitable[Sequence[Answer]]]:
    """What asks the model the same thing again; draws that fail are left out."""

    async def draw(count: int) -> list[Answer]:
        bodies = call.dialect.redrawn(body, count)
        drawn = await asyncio.gather(*(whole(call, each) for each in bodies), return_exceptions=True)
        answers: list[Answer] = []
        for each in drawn:
            if isinstance(each, Answered):
                try:
                    answers += call.dialect.answers(each.data)
                except ValueError:
                    continue
            elif not isinstance(each, Exception):
                raise each
        return answers[:count]

    return draw


def _wanted(admission: Admission, stream: bool) -> bool:
    """Whether the model's answer is wanted as it is asked for."""
    return admission.action is not Action.BLOCK and not (stream and admission.whole)


async def _let_go(asking: asyncio.Future[T], undo: Callable[[T], Awaitable[None]] | None) -> None:
    """Cancel what was asked too early, and close it if it had come all the same."""
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    if undo is not None and not asking.cancelled() and asking.exception() is None:
        await undo(asking.result())
