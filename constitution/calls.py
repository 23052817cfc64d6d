"""Model calls that are made once: each is kept under the hash of what was asked, and taken from there ever after."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from constitution.prompt import clean
from constitution.replies import call_key
from constitution.row import Call, ModelRole, Tokens
from constitution.store import RowStore
from guard.exchange import Message
from guard.models.base import Ask, ChatModel, Reply, Sampling, Usage
from rules.errors import WardlawError


class BudgetSpent(WardlawError):
    """`--max-tokens-total` is reached: no further call is made."""


@dataclass(slots=True)
class Meter:
    """What the calls of a run cost so far; a display reads it while the run goes on."""

    budget: int | None = None
    """Most tokens of the output folder's whole life; None for no limit."""
    before: int = 0
    """Tokens of earlier runs in the folder."""
    usage: Usage = field(default_factory=Usage)
    """Tokens of this run."""
    calls: int = 0
    """Calls answered by a model in this run."""
    reused: int = 0
    """Calls answered from the store."""
    in_flight: int = 0
    loading: bool = False
    """Whether models are being loaded: no call can go out yet."""
    began: float | None = None
    """When the first call went out, on the monotonic clock: loading models comes before it."""
    ended: float = 0.0
    """When the last reply came in."""

    @property
    def seconds(self) -> float:
        """From the first call to the last reply; 0 before there is one."""
        return max(0.0, self.ended - self.began) if self.began is not None else 0.0

    reserved: int = 0
    """Tokens that the calls in flight may come to."""
    _over: bool = False
    _given_back: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def spent(self) -> int:
        """Tokens of the folder's whole life, without the calls in flight."""
        return self.before + self.usage.prompt + self.usage.completion

    async def reserve(self, tokens: int) -> None:
        """Set aside what a call may come to; waits where that fits only once a call in flight gives back its rest.

        Raises:
            BudgetSpent: it does not fit, and no call is in flight: what is spent is final.
        """
        if self.budget is not None:
            while self._over or self.spent + self.reserved + tokens > self.budget:
                if self._over or not self.reserved:
                    self._over = True  # a smaller call that began now would be cut off with the rest of the run
                    raise BudgetSpent(
                        f"the budget of {self.budget:,} tokens is spent: {self.spent:,} are used,"
                        f" and the next call may take {tokens:,}",
                        "run again with a larger --max-tokens-total; finished calls are not asked again",
                    )
                await self._given_back.wait()
        self.reserved += tokens

    def give_back(self, tokens: int) -> None:
        """Release what was reserved; what the call did cost stands in `usage` by now."""
        self.reserved -= tokens
        self._given_back.set()
        self._given_back = asyncio.Event()


class Caller:
    """Asks the models of the four roles, through the store."""

    def __init__(
        self,
        models: Mapping[ModelRole, ChatModel],
        sampling: Mapping[ModelRole, Sampling],
        store: RowStore,
        meter: Meter,
    ) -> None:
        self._models = models
        self._sampling = sampling
        self._store = store
        self.meter = meter
        self._identities = {role: model.identity for role, model in models.items()}

    def has(self, role: ModelRole) -> bool:
        """Whether a model plays this role."""
        return role in self._models

    async def ask(
        self,
        role: ModelRole,
        stage: str,
        messages: Sequence[Message],
        *,
        row: str,
        seed: int,
        calls: list[Call],
        schema: Mapping[str, Any] | None = None,
        sampling: Sampling | None = None,
        logprobs: int = 0,
    ) -> Reply:
        """The answer of the model that plays `role`, from the store where the same call was answered before.

        Args:
            role: who is asked.
            stage: what for, as `critique 1`.
            messages: the conversation.
            row: id of the row it is for.
            seed: the call's own seed.
            calls: where the cost of the call is added.
            schema: JSON Schema of the answer.
            sampling: how it is drawn, where not as the role's answers are; its seed is passed over.
            logprobs: how many log-probabilities a token are asked for.

        Raises:
            BudgetSpent: no further call may be made.
            ModelError: the model could not answer; nothing is kept.
            StoreError: the answer could not be kept.
        """
        sampling = sampling or self._sampling[role]
        ask = Ask(
            tuple(messages),
            Sampling(sampling.temperature, sampling.top_p, sampling.max_tokens, seed, sampling.stop),
            schema,
            logprobs,
        )
        key = call_key(self._identities[role], ask)
        reply = self._store.reply(key)
        ms = 0.0
        if reply is None:
            estimate = most_tokens(ask)
            await self.meter.reserve(estimate)
            try:
                reply, ms = await self._answered(role, ask)
                self._store.keep_call(key, row, stage, reply)
                self.meter.calls += 1
                self.meter.usage += reply.usage
            finally:
                self.meter.give_back(estimate)
        else:
            self.meter.reused += 1
        tokens = Tokens(prompt=reply.usage.prompt, completion=reply.usage.completion)
        calls.append(Call(role=role, stage=stage, tokens=tokens, ms=round(ms, 1)))
        return reply

    async def _answered(self, role: ModelRole, ask: Ask) -> tuple[Reply, float]:
        """The model's answer, and the milliseconds that it took."""
        meter = self.meter
        began = time.monotonic()
        meter.began = began if meter.began is None else meter.began
        meter.in_flight += 1
        try:
            reply = _writable(await self._models[role].chat(ask))
        finally:
            meter.in_flight -= 1
        meter.ended = time.monotonic()
        return reply, (meter.ended - began) * 1000


def most_tokens(ask: Ask) -> int:
    """What a call may come to, tokens in and out: a careful guess, since each model counts in its own way.

    Three bytes a token: English takes four or more, Chinese about three; and a little for what a chat template adds.
    """
    said = sum(len(message.content.encode("utf-8", "surrogatepass")) // 3 + 16 for message in ask.messages)
    return said + ask.sampling.max_tokens


def _writable(reply: Reply) -> Reply:
    """The reply without halves of surrogate pairs, which JSON can carry and UTF-8 cannot."""
    reasoning = None if reply.reasoning is None else clean(reply.reasoning)
    return replace(reply, text=clean(reply.text), reasoning=reasoning)
