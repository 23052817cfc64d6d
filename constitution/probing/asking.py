"""Model calls that are made once: each is kept under the hash of what was asked, so that a killed run goes on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from constitution.calls import Meter, most_tokens
from constitution.prompt import clean
from constitution.replies import call_key
from constitution.store import RowStore
from guard.exchange import Message
from guard.models.base import Ask, ChatModel, Reply, Sampling


class Asker:
    """Asks one model, through the store."""

    def __init__(self, model: ChatModel, store: RowStore, meter: Meter, *, concurrency: int) -> None:
        self._model = model
        self._store = store
        self._meter = meter
        self._free = asyncio.Semaphore(concurrency)
        self.identity = model.identity

    async def ask(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        *,
        about: str,
        stage: str,
        schema: Mapping[str, Any] | None = None,
    ) -> Reply:
        """The model's answer, from the store where the same call was answered before.

        Args:
            messages: the conversation.
            sampling: with the call's own seed.
            about: the rule that it is for.
            stage: what for, as `break 3`.
            schema: JSON Schema of the answer.

        Raises:
            BudgetSpent: no further call may be made.
            ModelError: the model could not answer; nothing is kept.
            StoreError: the answer could not be kept.
        """
        ask = Ask(tuple(messages), sampling, schema)
        key = call_key(self.identity, ask)
        kept = self._store.reply(key)
        if kept is not None:
            self._meter.reused += 1
            return kept
        async with self._free:
            estimate = most_tokens(ask)
            await self._meter.reserve(estimate)
            try:
                reply = await self._answered(ask)
                self._store.keep_call(key, about, stage, reply)
                self._meter.calls += 1
                self._meter.usage += reply.usage
            finally:
                self._meter.give_back(estimate)
        return reply

    async def _answered(self, ask: Ask) -> Reply:
        meter = self._meter
        began = time.monotonic()
        meter.began = began if meter.began is None else meter.began
        meter.in_flight += 1
        try:
            reply = await self._model.chat(ask)
        finally:
            meter.in_flight -= 1
        meter.ended = time.monotonic()
        return replace(reply, text=clean(reply.text), reasoning=None)
