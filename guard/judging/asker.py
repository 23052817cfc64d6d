"""Asks one model within bounds: places, deadline, budget, breaker. Lives on one event loop."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from guard.behind import is_behind
from guard.judging.breaker import Breaker, BreakerOpen
from guard.judging.budget import Budget, BudgetSpent
from guard.judging.settings import AskLimits
from guard.models.base import Ask, ChatModel, ContentRefused, ContextTooLong, ModelError, Reply
from rules.errors import WardlawError

Read = TypeVar("Read")

_BEHIND = 4
"""What nobody waits for takes one place in so many: else it would stand before requests, until their deadline."""


class NotAnswered(WardlawError):
    """The model was not asked, or gave no answer that can be used. `what` says why, in a few words."""


class Unreadable(NotAnswered):
    """The model answered in a form that it should not have: never taken for a clean bill."""


class Asker(Generic[Read]):
    """Asks a model, and keeps what its answers were read as. All calls on one event loop."""

    def __init__(self, model: ChatModel, limits: AskLimits) -> None:
        self._model = model
        self._limits = limits
        self._budget = Budget(limits.asks_per_minute, limits.tokens_per_day)
        self._breaker = Breaker(limits.failures, limits.rest_s)
        self._places = asyncio.Semaphore(limits.concurrency)
        self._behind = asyncio.Semaphore(max(1, limits.concurrency // _BEHIND))
        self._kept: OrderedDict[Hashable, Read] = OrderedDict()

    async def ask(
        self, key: Hashable, ask: Ask, read: Callable[[Reply], Read], *, keep: Callable[[Read], bool] = lambda _: True
    ) -> Read:
        """What `read` makes of the model's answer, from memory where the same was read before.

        Args:
            key: what determines the answer.
            ask: what the model is asked.
            read: reads the answer, or raises `Unreadable`.
            keep: whether what was read is worth keeping.

        Raises:
            NotAnswered: no budget, the breaker is open, no answer in time, the model failed, or `read` raised it.
        """
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        found = read(await self._asked(ask))
        if self._limits.remembered and keep(found):
            self._kept[key] = found
            self._kept.move_to_end(key)
            while len(self._kept) > self._limits.remembered:
                self._kept.popitem(last=False)
        return found

    async def _asked(self, ask: Ask) -> Reply:
        if not is_behind():
            return await self._in_a_place(ask)
        async with self._behind:  # its deadline begins when its turn among these has come
            return await self._in_a_place(ask)

    async def _in_a_place(self, ask: Ask) -> Reply:
        late = f"within {self._limits.deadline_s:g} s"
        end = asyncio.get_running_loop().time() + self._limits.deadline_s
        try:
            async with asyncio.timeout_at(end):
                await self._places.acquire()
        except TimeoutError:
            raise NotAnswered(f"no free place {late}") from None
        try:
            return await self._call(ask, end, late)
        finally:
            self._places.release()

    async def _call(self, ask: Ask, end: float, late: str) -> Reply:
        """One call, its outcome noted by breaker and budget."""
        try:
            probe = self._breaker.enter()
        except BreakerOpen as shut:
            raise NotAnswered(shut.what) from None
        taken = most_tokens(ask)
        try:
            day = self._budget.take(taken)
        except BudgetSpent as spent:
            self._breaker.passed_by(probe=probe)
            raise NotAnswered(spent.what) from None
        cost = taken  # a call that breaks off may have cost all that it could
        try:
            async with asyncio.timeout_at(end):
                reply = await self._model.chat(ask)
        except TimeoutError:
            self._failed(f"no answer {late}", probe)
            raise NotAnswered(f"no answer {late}") from None
        except (ContextTooLong, ContentRefused) as refused:
            # The text's doing. Counted as a failure, whoever sends such texts could shut the model for everybody.
            self._breaker.passed_by(probe=probe)
            cost = 0
            raise NotAnswered(refused.what) from None
        except ModelError as error:
            self._failed(error.what, probe)
            cost = 0
            raise NotAnswered(error.what) from None
        except BaseException:  # cancelled by one who went away, or broken: either way the probe is over
            self._breaker.passed_by(probe=probe)
            raise
        else:
            self._breaker.succeeded()
            cost = reply.usage.prompt + reply.usage.completion or taken
            return reply
        finally:
            self._budget.settle(day, taken, cost)

    def _failed(self, why: str, probe: bool) -> None:
        """Tell the breaker, unless nobody waited: such asks must not shut the model for those who do."""
        if is_behind():
            self._breaker.passed_by(probe=probe)
        else:
            self._breaker.failed(why, probe=probe)


def most_tokens(ask: Ask) -> int:
    """What an ask may come to, tokens in and out: a careful guess, three bytes a token."""
    said = sum(len(message.content.encode("utf-8", "surrogatepass")) // 3 + 16 for message in ask.messages)
    told = len(str(dict(ask.template))) // 3 if ask.template else 0
    return said + told + ask.sampling.max_tokens


def digest_of(*texts: str) -> bytes:
    """A key made of texts: 16 bytes. Lengths stand before them, so that no two lists of texts make the same."""
    digest = hashlib.blake2b(digest_size=16)
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(data))
        digest.update(data)
    return digest.digest()
