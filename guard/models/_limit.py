"""How many calls may be in flight at one endpoint: a bound that finds its own height, between 1 and what was asked.

Additive increase, multiplicative decrease, as in congestion control (Chiu & Jain 1989): a success while the bound is
reached raises it by about one a round trip, a sign of overload halves it.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from types import TracebackType


class Limit:
    """`async with limit:` waits for a place, first come first served.

    A place is handed to the waiter by the one who leaves, so a newcomer never overtakes and a waiter that is cancelled
    just as it was woken hands its place on: no wake-up is lost.
    """

    __slots__ = ("_allowed", "_cut_at", "_in_flight", "_most", "_waiters")

    def __init__(self, most: int) -> None:
        """Args: `most`: the highest bound, at least 1; the bound starts there."""
        if most < 1:
            raise ValueError(f"a concurrency limit of {most} lets nothing through")
        self._most = most
        self._allowed = float(most)
        self._in_flight = 0
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._cut_at = float("-inf")

    @property
    def current(self) -> int:
        """The bound now, from 1 to `most`."""
        return int(self._allowed)

    @property
    def in_flight(self) -> int:
        """Places taken now. May stand above `current` right after a decrease, until calls end."""
        return self._in_flight

    async def __aenter__(self) -> None:
        # No one waits while there is room: whoever makes room hands it out before anything else runs.
        if self._in_flight < int(self._allowed):
            self._in_flight += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiters.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()
            else:
                self._waiters.remove(turn)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def succeeded(self) -> None:
        """A call went well: raise the bound, where it was the bound that held the load back."""
        if self._allowed < self._most and self._in_flight >= int(self._allowed):
            self._allowed = min(self._most, self._allowed + 1 / self._allowed)
            self._wake()

    def overloaded(self, sent_at: float) -> None:
        """A call was turned away or timed out: halve the bound.

        Args:
            sent_at: when the call was sent (`time.monotonic`). Calls sent before the last decrease say nothing about
                the bound that it set, so a burst of refusals halves it once, not down to 1.
        """
        if sent_at >= self._cut_at:
            self._allowed = max(1.0, self._allowed / 2)
            self._cut_at = time.monotonic()

    def _leave(self) -> None:
        self._in_flight -= 1
        if self._waiters:
            self._wake()

    def _wake(self) -> None:
        while self._waiters and self._in_flight < int(self._allowed):
            turn = self._waiters.popleft()
            if not turn.done():
                self._in_flight += 1
                turn.set_result(None)
