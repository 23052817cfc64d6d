"""Judging again, beside the requests: a bounded queue, and one thread that nobody waits for.

A request leaves its texts here when its client has been answered. The thread judges them by the rules in force and by
the candidate, one request at a time, and lets live texts go first. What there is no room for is dropped and counted.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from server.audit.shadow import Compared
from server.shadow.comparing import Case, compare
from server.shadow.given import LIMIT, Given, Look, TooLong, size_of

if TYPE_CHECKING:
    from server.inforce import InForce
    from server.record import Record

_log = logging.getLogger(__name__)

CHARACTERS = 16_000_000
"""Of all texts that wait in one worker."""
PATIENCE_S = 1.0
"""How long texts wait for a moment in which no live text waits for the models."""
_LOOK_S = 0.005
_TELL_AGAIN_S = 60.0

Why: TypeAlias = Literal["full", "too_long", "failed", "not_kept", "reloaded", "stopped"]
"""Why a request was not judged again: no room in the queue, longer than is kept, the gate failed, the audit had no
room, the rules it was judged by are gone, the server stopped."""


class Counts(Protocol):
    """What is told of each request that was judged again, or dropped: `server.telemetry.metrics.Metrics`."""

    def shadow_judged(self, constitution: str, flip: str) -> None: ...

    def shadow_dropped(self, constitution: str, why: str) -> None: ...


@dataclass(slots=True)
class Tally:
    """What has come of one candidate in this worker."""

    digest: str
    judged: int = 0
    flips: dict[str, int] = field(default_factory=lambda: {"stricter": 0, "milder": 0, "other": 0})
    dropped: dict[str, int] = field(default_factory=dict)


class Shadowing:
    """See `server.parts.Shadow`. To be used from one event loop."""

    def __init__(
        self,
        guards: InForce,
        keep: Callable[[Compared], bool],
        counts: Counts,
        *,
        share: float = 1.0,
        queue: int = 256,
    ) -> None:
        """A queue that nobody empties before `run`.

        Args:
            guards: what is in force, and the candidates.
            keep: keeps what came of a case; whether it did.
            counts: see `Counts`.
            share: of requests that are judged again.
            queue: requests that wait at most.
        """
        self._guards = guards
        self._keep = keep
        self._counts = counts
        self._share = share
        self._room = queue
        self._cases: deque[Case] = deque()
        self._size = 0
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._hurry = False
        self._closed = False
        self._task: asyncio.Task[None] | None = None
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._told_at = float("-inf")
        self._tallies: dict[str, Tally] = {}

    @property
    def waiting(self) -> int:
        """Requests that wait to be judged again."""
        return len(self._cases) + (0 if self._idle.is_set() else 1)

    def told(self) -> dict[str, dict[str, Any]]:
        """Name -> what has come of its candidate so far, in this worker and since the candidate was loaded."""
        return {
            name: {"judged": each.judged, "flips": dict(each.flips), "dropped": dict(each.dropped)}
            for name, each in self._tallies.items()
        }

    def begin(self, digests: Mapping[str, str]) -> None:
        """Count anew for candidates that are others now. Args: digests: of the candidates, by name."""
        for name, digest in digests.items():
            if name not in self._tallies or self._tallies[name].digest != digest:
                self._tallies[name] = Tally(digest)

    def collects(self, constitution: str) -> Given | None:
        """See `server.parts.Shadow`."""
        if self._closed or constitution not in self._tallies or self._guards.pair(constitution) is None:
            return None
        return Given() if self._share >= 1 or random.random() < self._share else None

    def offer(self, record: Record, looks: Callable[[], list[Look]]) -> None:
        """See `server.parts.Shadow`."""
        name = record.caller.constitution
        try:
            self._offer(name, record, looks)
        except Exception as error:  # the client has been answered: nothing of it may fail for this
            self._drop(name, "failed")
            self._tell("texts cannot be judged again", error)

    def _offer(self, name: str, record: Record, looks: Callable[[], list[Look]]) -> None:
        if self._closed:
            return self._drop(name, "stopped")
        if len(self._cases) >= self._room:
            return self._drop(name, "full")
        pair = self._guards.pair(name)
        if pair is None:
            return self._drop(name, "reloaded")
        try:
            found = looks()
        except TooLong:
            return self._drop(name, "too_long")
        size = size_of(found)
        if size > LIMIT:
            return self._drop(name, "too_long")
        if self._size + size > CHARACTERS:
            return self._drop(name, "full")
        decision = record.decision
        base, candidate = (lease.__enter__() for lease in pair)
        case = Case(decision.id, decision.at, name, decision.constitution, found, size, pair, base.gate, candidate.gate)
        if case.enforced not in (base.gate.digest, candidate.gate.digest):
            self._release(case)
            return self._drop(name, "reloaded")
        self._cases.append(case)
        self._size += size
        self._wake.set()
        return None

    def start(self) -> None:
        """Begin to judge."""
        # A daemon: one that hangs in a model must not keep the process from ending.
        self._thread = threading.Thread(target=self._run_work, name="wardlaw-shadow", daemon=True)
        self._thread.start()
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self, within_s: float) -> None:
        """Judge what waits, for so many seconds at most; the rest is dropped. May be called twice."""
        self._closed = self._hurry = True
        task, self._task = self._task, None
        if task is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    while self._cases or not self._idle.is_set():
                        await self._idle.wait()
                        await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self._work.put(None)
        while self._cases:
            case = self._cases.popleft()
            self._drop(case.constitution, "stopped")
            self._release(case)

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._cases:
                await self._next()

    async def _next(self) -> None:
        self._idle.clear()
        case = self._cases.popleft()
        try:
            await self._let_pass(case)
            await self._judged(case)
        except asyncio.CancelledError:
            self._drop(case.constitution, "stopped")
            raise
        except Exception as error:
            self._drop(case.constitution, "failed")
            self._tell(f"the candidate of `{case.constitution}` does not judge", error)
        finally:
            self._size -= case.size
            self._idle.set()
            self._release(case)

    async def _let_pass(self, case: Case) -> None:
        """Wait for a moment in which no live text waits for the models."""
        until = time.monotonic() + PATIENCE_S
        # A gate tells nobody when its models are free.
        while not self._hurry and (case.base.wait_s or case.candidate.wait_s) and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_S)

    async def _judged(self, case: Case) -> None:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Compared] = loop.create_future()

        def settle(value: Compared | Exception) -> None:
            if done.done():
                return
            if isinstance(value, Exception):
                done.set_exception(value)
            else:
                done.set_result(value)

        def work() -> None:
            came: Compared | Exception
            try:
                came = compare(case)
            except (
                BaseException
            ) as error:  # as a panic of a library in Rust: were it let out, the thread would end with it
                came = error if isinstance(error, Exception) else RuntimeError(type(error).__name__)
            with suppress(RuntimeError):  # the loop is gone: nobody waits
                loop.call_soon_threadsafe(settle, came)

        self._work.put(work)
        compared = await done
        if not self._keep(compared):
            self._drop(case.constitution, "not_kept")
            return
        tally = self._tallies.get(case.constitution)
        if tally is not None and tally.digest == compared.candidate:
            tally.judged += 1
            if compared.flip:
                tally.flips[compared.flip] += 1
        with suppress(Exception):
            self._counts.shadow_judged(case.constitution, compared.flip)

    def _run_work(self) -> None:
        while (work := self._work.get()) is not None:
            work()
            del work  # it holds texts and two gates, which until the next request would stay after a reload

    def _drop(self, name: str, why: Why) -> None:
        tally = self._tallies.get(name)
        if tally is not None:
            tally.dropped[why] = tally.dropped.get(why, 0) + 1
        with suppress(Exception):  # as on a full disk, where several workers count in files
            self._counts.shadow_dropped(name, why)

    def _release(self, case: Case) -> None:
        for lease in case.leases:
            lease.__exit__(None, None, None)

    def _tell(self, what: str, error: Exception) -> None:
        now = time.monotonic()
        if now - self._told_at >= _TELL_AGAIN_S:
            self._told_at = now
            # the error's own words may quote a client's text
            _log.error("%s: %s", what, type(error).__name__)
