"""A meter whose budget is lent, some tokens at a time, by the one board of the run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from constitution.calls import Meter

LENT_AT_ONCE = 8192
"""Tokens a worker asks for at a time: what it may hold unspent while another is refused."""


async def _nothing(_: int) -> int:
    return 0


@dataclass(slots=True)
class LentMeter(Meter):
    """As Meter; where the run has a budget, `budget` begins at 0 and grows by what is lent."""

    lend: Callable[[int], Awaitable[int]] = _nothing
    """Asks for so many tokens, and gives how many were lent: none, or at least as many."""

    async def reserve(self, tokens: int) -> None:
        """As Meter.reserve, after more was borrowed where that is needed."""
        if self.budget is not None:
            short = self.spent + self.reserved + tokens - self.budget
            if short > 0:
                self.budget += await self.lend(short)
        await Meter.reserve(self, tokens)
