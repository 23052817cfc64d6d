"""How much may be asked: asks a minute, tokens a day."""

from __future__ import annotations

import time
from collections.abc import Callable

from rules.errors import WardlawError

_DAY_S = 86_400.0


class BudgetSpent(WardlawError):
    """The budget leaves no room for this ask."""


class Budget:
    """A bucket of asks that fills evenly, and a count of tokens that starts anew at midnight UTC.

    Not safe to use from several threads.
    """

    def __init__(
        self,
        asks_per_minute: int | None,
        tokens_per_day: int | None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._asks_per_minute = asks_per_minute
        self._tokens_per_day = tokens_per_day
        self._monotonic = monotonic
        self._now = now
        self._asks = float(asks_per_minute or 0)
        self._filled = monotonic()
        self._day = now() // _DAY_S
        self.tokens = 0
        """Tokens of this day, those set aside for asks under way included."""

    def take(self, tokens: int) -> float:
        """Set aside one ask that may come to `tokens`.

        Returns:
            the day it was set aside in, for `settle`.

        Raises:
            BudgetSpent: there is no room for it.
        """
        self._turn()
        if self._tokens_per_day is not None and self.tokens + tokens > self._tokens_per_day:
            raise BudgetSpent(f"the budget of {self._tokens_per_day:,} tokens a day is spent")
        if self._asks_per_minute is not None:
            if self._asks < 1:
                raise BudgetSpent(f"the budget of {self._asks_per_minute:,} asks a minute is spent")
            self._asks -= 1
        self.tokens += tokens
        return self._day

    def settle(self, day: float, taken: int, spent: int) -> None:
        """Put what an ask did cost in place of what was set aside for it, if its day is not over."""
        self._turn()
        if day == self._day:
            self.tokens += spent - taken

    def _turn(self) -> None:
        """Let the clocks run on."""
        day = self._now() // _DAY_S
        if day != self._day:
            self._day, self.tokens = day, 0
        if self._asks_per_minute is not None:
            at = self._monotonic()
            self._asks = min(self._asks_per_minute, self._asks + (at - self._filled) * self._asks_per_minute / 60)
            self._filled = at
