"""The desk the loop works at: the models of the four roles, asked with seeds of their own, and the gate."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Coroutine, Mapping
from typing import Any, Protocol, TypeVar

from constitution.calls import Caller
from constitution.draft import Draft
from constitution.judging import GRADE_SCHEMA, Grade, grade_messages, read_grade
from constitution.row import ModelRole
from guard.exchange import Exchange, Message
from guard.models.base import Reply
from guard.verdict import Verdict
from rules.errors import WardlawError
from rules.schema import Rule

T = TypeVar("T")


class GateDegraded(WardlawError):
    """A detector of the gate could not answer."""


class Judges(Protocol):
    """What the loop needs of a gate."""

    async def ajudge(self, exchange: Exchange) -> Verdict:
        """The verdict on the exchange's last message."""


class Desk:
    """What every stage of a row asks with. Holds no state between rows."""

    def __init__(self, caller: Caller, gate: Judges, *, tries: int) -> None:
        """A desk at which a critique, grade or rationale is asked for `tries` times until it has the right shape."""
        self._caller = caller
        self._gate = gate
        self.tries = tries
        self.has_judge = caller.has("judge")

    async def ask(
        self,
        draft: Draft,
        role: ModelRole,
        stage: str,
        messages: tuple[Message, ...],
        *numbers: int,
        schema: Mapping[str, object] | None = None,
    ) -> Reply:
        """The answer of the model that plays `role`, at a seed made of the row's, the stage and `numbers`.

        Raises:
            ModelError, BudgetSpent, StoreError: as Caller.ask.
        """
        seed = seed_of(draft.seed, stage, *numbers)
        return await self._caller.ask(
            role, stage, messages, row=draft.prompt.id, seed=seed, calls=draft.calls, schema=schema
        )

    async def judge(self, draft: Draft, response: str | None = None) -> Verdict:
        """The gate's verdict on the prompt, or on a response to it.

        Raises:
            GateDegraded: a detector failed. A row must not pass a check that did not run.
        """
        exchange = Exchange(draft.conversation) if response is None else Exchange.of(draft.conversation, response)
        verdict = await self._gate.ajudge(exchange)
        for detector, what in verdict.coverage.degraded.items():
            raise GateDegraded(
                f"the gate's detector `{detector}` failed: {what}", "mend it and run again; no row is lost"
            )
        return verdict

    async def grade(self, draft: Draft, rule: Rule, text: str) -> Grade | None:
        """The judge's grade of an answer; None where its replies had no known shape."""
        messages = grade_messages(draft.templates, rule, draft.conversation, text)
        for attempt in range(self.tries):
            reply = await self.ask(draft, "judge", "judge", messages, attempt, schema=GRADE_SCHEMA)
            grade = read_grade(reply.text)
            if grade is not None:
                return grade
        return None


def broken(verdict: Verdict) -> str | None:
    """What the gate finds broken, in a sentence; None where it finds nothing."""
    if not verdict.findings:
        return None
    worst = max(verdict.findings, key=lambda finding: finding.score)
    return f"the gate finds `{worst.rule}` broken by `{worst.excerpt[:80]}` ({worst.detector}, {worst.score:.2f})"


def seed_of(*parts: int | str) -> int:
    """A seed that depends on nothing but its parts, so that rows can be worked on in any order. 31 bits."""
    text = ":".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest()) & 0x7FFFFFFF


async def together(*works: Coroutine[Any, Any, T]) -> list[T]:
    """The results of all, in order; where one fails, the others are cancelled before its error goes on."""
    if len(works) == 1:
        return [await works[0]]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed
    return [task.result() for task in tasks]
