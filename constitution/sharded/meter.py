"""A meter whose budget is lent, some tokens at a time, by the one board of the run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from constitution.calls import Meter

LENT_AT_ONCE = 8192
"""Most tokens a worker is lent at a time beyond what it needs: it holds them while another may be refused."""


async def _nothing(_: int) -> int:
    return 0


@dataclass(slots=True)
class LentMeter(Meter):
    """As Meter; where the run has a budget, `budget` begins at 0 and grows by what is lent."""

    lend: Callable[[int], Awaitable[int]] = _nothing
    """Asks for so many tokens, and gives how many were lent: none, or at least as many."""

    _borrowing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One at a time: hundreds of rows that begin together would each borrow, and leave nothing for the others."""

    async def reserve(self, tokens: int) -> None:
        """As Meter.reserve, after more was borrowed where that is needed."""
        if self.budget is None:
            await Meter.reserve(self, tokens)
            return
        async with self._borrowing:
            short = self.spent + self.reserved + tokens - self.budget
            if short > 0:
                self.budget += await self.lend(short)
            if self._fits(tokens):
                await Meter.reserve(self, tokens)  # it does not wait
                return
        await Meter.reserve(self, tokens)

    def _fits(self, tokens: int) -> bool:
        return self.budget is None or self.spent + self.reserved + tokens <= self.budget
