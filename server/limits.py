"""Bounds on what is in hand: requests a key may send, requests a worker holds, and how late its event loop may run.

All of it is in memory and of one worker. Connections spread over the workers evenly but not exactly, so each worker
gives a key its share of the key's limits.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from server.parts import Busy
from server.record import Caller

if TYPE_CHECKING:
    from server.keys.key import Key
    from server.settings import LimitSettings

_MINUTE = 60.0
_TICK_S = 0.05
_FORGET = 10_000
"""Keys whose rates are remembered; beyond that, those that are at rest are forgotten."""


class KeysByID(Protocol):
    """What is known of keys: a door."""

    def key(self, key_id: str) -> Key | None:
        """The key with an id; None where there is none, or keys are off."""


class Rate:
    """Requests a minute, spread evenly: a bucket that holds a minute's worth, at least one, and refills all the time.

    Source: the generic cell rate algorithm, as one number a key. The library `limits` was measured in its place: it
    starts a thread of its own at most calls, 340 us for each where requests come one by one, against 0.5 us here.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Args: clock: seconds."""
        self._clock = clock
        self._full_at: dict[str, float] = {}
        """Key -> when its bucket will be full again."""

    def take(self, key: str, per_minute: float) -> float:
        """Take one request.

        Returns:
            0 where there was one; else the seconds until there will be.
        """
        now = self._clock()
        one = _MINUTE / per_minute
        full_at = max(self._full_at.get(key, 0.0), now) + one
        # A worker's share may be less than one request a minute: a bucket without room for one would let none through.
        wait = full_at - now - max(_MINUTE, one)
        if wait > 1e-9:
            return wait
        if key not in self._full_at and len(self._full_at) >= _FORGET:
            self._full_at = {known: at for known, at in self._full_at.items() if at > now}
        self._full_at[key] = full_at
        return 0.0


class _Entered:
    """A request that is counted."""

    __slots__ = ("_counted", "_key", "_limits")

    def __init__(self, limits: ServerLimits, key: str) -> None:
        self._limits = limits
        self._key = key
        self._counted = False

    def __enter__(self) -> None:
        self._counted = self._limits.count_in(self._key)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._limits.count_out(self._key if self._counted else "")


class ServerLimits:
    """See `server.parts.Limits`. To be used from one event loop."""

    def __init__(
        self,
        settings: LimitSettings,
        keys: KeysByID,
        *,
        workers: int = 1,
        gate_wait: Callable[[], float] = lambda: 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is in hand yet.

        Args:
            settings: the bounds.
            keys: knows the limits of keys.
            workers: among how many a key's limits are shared.
            gate_wait: seconds that a text would wait for the gate's models now. The loop's lag knows nothing of it:
                with 256 requests in hand it was 6 ms, while each text waited 4 s for the encoder.
            clock: seconds.
        """
        self._settings = settings
        self._keys = keys
        self._workers = workers
        self._gate_wait = gate_wait
        self._rate = Rate(clock)
        self._of_key: dict[str, int] = {}
        self.in_flight = 0
        self.shed = 0
        """Requests that were told to come again because the worker had too much in hand."""
        self.lag_s = 0.0
        """How late the event loop runs: the worst of the last second."""

    def enter(self, caller: Caller) -> AbstractContextManager[None]:
        """Count a request in, and out again. What is refused costs a microsecond, and takes nothing from a key's rate.

        Raises:
            Busy: on entering.
        """
        return _Entered(self, caller.key)

    def count_in(self, key_id: str) -> bool:
        """Count a request in.

        Returns:
            whether it counts against the key as well.

        Raises:
            Busy: there is no room.
        """
        settings = self._settings
        if self.in_flight >= settings.in_flight:
            self.shed += 1
            raise Busy("the server has too many requests in hand", 1.0, "come again in a second")
        if settings.lag_ms and self.lag_s * 1000 > settings.lag_ms:
            self.shed += 1
            raise Busy("the server is too busy", max(1.0, math.ceil(self.lag_s)), "come again in a second")
        if settings.gate_wait_ms and (wait := self._gate_wait()) * 1000 > settings.gate_wait_ms:
            self.shed += 1
            raise Busy("the gate has too many texts to judge", max(1.0, math.ceil(wait)), "come again in a second")
        key = self._keys.key(key_id) if key_id else None
        if key is not None:
            self._count_in_key(key)
        self.in_flight += 1
        return key is not None

    def _count_in_key(self, key: Key) -> None:
        mine = self._of_key.get(key.id, 0)
        if key.concurrent is not None and mine >= math.ceil(key.concurrent / self._workers):
            raise Busy(f"the key has {mine} requests in hand already", 1.0, "wait for one of them to end")
        if key.requests_per_minute is not None:
            wait = self._rate.take(key.id, key.requests_per_minute / self._workers)
            if wait:
                what = f"the key may send {key.requests_per_minute:g} requests a minute"
                raise Busy(what, wait, "spread them, or ask for a key that may send more")
        self._of_key[key.id] = mine + 1

    def count_out(self, key_id: str) -> None:
        """Count a request out; with an empty id, one that did not count against a key."""
        self.in_flight -= 1
        if key_id:
            mine = self._of_key[key_id] - 1
            if mine:
                self._of_key[key_id] = mine
            else:
                del self._of_key[key_id]

    async def watch_lag(self, told: Callable[[float], None] = lambda _: None) -> None:
        """Measure how late the event loop runs, until this is cancelled.

        Args:
            told: told of the lag, in seconds, once a second.
        """
        loop = asyncio.get_running_loop()
        recent = [0.0] * round(1 / _TICK_S)
        at = 0
        while True:
            due = loop.time() + _TICK_S
            await asyncio.sleep(_TICK_S)
            recent[at] = max(0.0, loop.time() - due)
            # The middle of a second's worth: one long step, as a collection of garbage, turns nobody away.
            self.lag_s = sorted(recent)[len(recent) // 2]
            at = (at + 1) % len(recent)
            if at == 0:
                told(self.lag_s)
