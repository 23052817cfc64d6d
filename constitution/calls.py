"""Model calls that are made once: each is kept under the hash of what was asked, and taken from there ever after."""

from __future__ import annotations

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
    began: float | None = None
    """When the first call went out, on the monotonic clock: loading models comes before it."""
    ended: float = 0.0
    """When the last reply came in."""

    @property
    def seconds(self) -> float:
        """From the first call to the last reply; 0 before there is one."""
        return max(0.0, self.ended - self.began) if self.began is not None else 0.0

    def check(self) -> None:
        """Raise BudgetSpent where the budget is used up."""
        spent = self.before + self.usage.prompt + self.usage.completion
        if self.budget is not None and spent >= self.budget:
            raise BudgetSpent(
                f"the budget of {self.budget:,} tokens is spent ({spent:,})",
                "run again with a larger --max-tokens-total; finished calls are not asked again",
            )


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

        Raises:
            BudgetSpent: no further call may be made.
            ModelError: the model could not answer; nothing is kept.
            StoreError: the answer could not be kept.
        """
        sampling = self._sampling[role]
        ask = Ask(
            tuple(messages),
            Sampling(sampling.temperature, sampling.top_p, sampling.max_tokens, seed, sampling.stop),
            schema,
        )
        key = call_key(self._identities[role], ask)
        reply = self._store.reply(key)
        ms = 0.0
        if reply is None:
            self.meter.check()
            began = time.monotonic()
            self.meter.began = began if self.meter.began is None else self.meter.began
            self.meter.in_flight += 1
            try:
                reply = _writable(await self._models[role].chat(ask))
            finally:
                self.meter.in_flight -= 1
            self.meter.ended = time.monotonic()
            ms = (self.meter.ended - began) * 1000
            self._store.keep_call(key, row, stage, reply)
            self.meter.calls += 1
            self.meter.usage += reply.usage
        else:
            self.meter.reused += 1
        tokens = Tokens(prompt=reply.usage.prompt, completion=reply.usage.completion)
        calls.append(Call(role=role, stage=stage, tokens=tokens, ms=round(ms, 1)))
        return reply


def _writable(reply: Reply) -> Reply:
    """The reply without halves of surrogate pairs, which JSON can carry and UTF-8 cannot."""
    reasoning = None if reply.reasoning is None else clean(reply.reasoning)
    return replace(reply, text=clean(reply.text), reasoning=reasoning)
