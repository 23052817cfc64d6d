"""A guarded conversation in process: the model asked, whole or as a stream, with a watch over it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from guard.guarding.decision import Decision
from guard.guarding.editing import edited
from guard.guarding.incoming import Answer
from guard.guarding.rulings import Redraw
from guard.guarding.watch import Watch
from guard.models.base import Ask, ChatModel, Reply, Sampling, streamed
from guard.window.outcomes import Channel, Released, Stopped
from guard.window.relay import Delta, relay
from rules.schema import Action

_TEXT, _REASONING = Channel(), Channel("reasoning")


@dataclass(frozen=True, slots=True)
class Guarded:
    """What a guarded model says."""

    text: str
    decision: Decision
    reasoning: str | None = None
    """What it thought before it spoke, where it tells; None where a reply or a revision took the answer's place."""


async def chat(model: ChatModel, watch: Watch, sampling: Sampling) -> Guarded:
    """One answer."""
    early = None
    if watch.early and not watch.instant:
        early = asyncio.create_task(model.chat(Ask(watch.messages, sampling)))
    try:
        admission = await watch.admit()
        if admission.action is Action.BLOCK:
            return Guarded(admission.reply, watch.decision())
        ask = Ask(edited(watch.messages, admission.edits), sampling)
        if early is None or admission.edits:
            # What was asked early has shown the model what it must not see.
            return await _answer(model, watch, ask, await model.chat(ask))
        return await _answer(model, watch, ask, await early)
    finally:
        if early is not None:
            await _cancel(early)


async def _answer(model: ChatModel, watch: Watch, ask: Ask, reply: Reply) -> Guarded:
    answer = _answered(reply)
    [ruling] = await watch.rule([answer], _redraw(model, ask))
    decision = watch.decision()
    if ruling.text is not None:
        return Guarded(ruling.text, decision)
    texts = {**(ruling.answer or answer).texts, **ruling.edits}
    return Guarded(texts.get(_TEXT, ""), decision, texts.get(_REASONING))


def _redraw(model: ChatModel, ask: Ask) -> Redraw:
    async def redraw(count: int) -> Sequence[Answer]:
        asks = [_draw(ask, number) for number in range(1, count + 1)]
        drawn = await asyncio.gather(*map(model.chat, asks), return_exceptions=True)
        return [_answered(reply) for reply in drawn if isinstance(reply, Reply)]

    return redraw


def _answered(reply: Reply) -> Answer:
    texts = {_TEXT: reply.text, _REASONING: reply.reasoning or ""}
    return Answer({channel: text for channel, text in texts.items() if text})


def _draw(ask: Ask, number: int) -> Ask:
    """The same ask by another seed, where it has one: the same seed would draw the same answer."""
    seed = ask.sampling.seed
    return ask if seed is None else replace(ask, sampling=replace(ask.sampling, seed=seed + number))


async def _cancel(task: asyncio.Task[Reply]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)  # which lets through that the caller itself is cancelled


async def stream(model: ChatModel, watch: Watch, sampling: Sampling) -> AsyncGenerator[str | Guarded, None]:
    """One answer in pieces, and at the end the whole of it with the decision."""
    admission = await watch.admit()
    if admission.action is Action.BLOCK:
        yield admission.reply
        yield Guarded(admission.reply, watch.decision())
        return
    ask = Ask(edited(watch.messages, admission.edits), sampling)
    if admission.whole:
        guarded = await _answer(model, watch, ask, await model.chat(ask))
        yield guarded.text
        yield guarded
        return
    said: dict[Channel, list[str]] = {_TEXT: [], _REASONING: []}
    async with aclosing(relay(watch.window(), _deltas(model, ask))) as passed:
        async for _, channel, outcome in passed:
            if isinstance(outcome, Stopped):
                ruling = await watch.stopped(0, outcome, _redraw(model, ask))
                said[_TEXT].append(replacement := ruling.text or "")
                said[_REASONING].clear()
                yield replacement
                break
            if isinstance(outcome, Released):
                said[channel].append(outcome.text)
                if channel == _TEXT:
                    yield outcome.text
    yield Guarded("".join(said[_TEXT]), watch.decision(), "".join(said[_REASONING]) or None)


async def _deltas(model: ChatModel, ask: Ask) -> AsyncGenerator[Delta, None]:
    async with aclosing(streamed(model, ask)) as pieces:
        async for piece in pieces:
            if piece.reasoning:
                yield 0, _REASONING, piece.reasoning
            if piece.text:
                yield 0, _TEXT, piece.text
