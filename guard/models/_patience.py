"""How long a model call is tried again, and for which faults."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

if TYPE_CHECKING:
    from tenacity import RetryCallState

T = TypeVar("T")

_LEAST_ATTEMPT_S = 0.05
"""An attempt gets this long at least, however little of the patience is left."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one call may take. Time spent waiting for a free place (`Limit`) is not counted."""

    attempt_s: float = 180.0
    """Deadline of one attempt, seconds."""
    total_s: float = 600.0
    """All attempts and the waits between them, seconds. An endpoint that answers 429 is waited for this long."""
    attempts: int = 5
    """Attempts that may fail by the endpoint's own fault: 5xx, garbage, a cut-off body, a deadline passed."""
    down_s: float = 10.0
    """How long an endpoint that takes no connection is tried, seconds. Short: a person mistyped it more often
    than it is being restarted."""
    first_wait_s: float = 0.5
    """The first wait is drawn between 0 and this, seconds; each further one from a range twice as wide."""
    longest_wait_s: float = 30.0
    """Upper end of the widest range."""


class Passing(Exception):
    """A fault that may pass: worth another attempt.

    `busy`: the endpoint said to come back later; `down`: no connection; `broken`: it answered wrongly or not in time.
    """

    def __init__(
        self,
        kind: Literal["busy", "down", "broken"],
        what: str,
        *,
        retry_after: float | None = None,
        overload: bool = False,
        silent: bool = False,
    ) -> None:
        super().__init__(what)
        self.kind = kind
        self.what = what
        self.retry_after = retry_after
        """Seconds the endpoint asked to wait."""
        self.overload = overload
        """Whether fewer calls at a time would have helped."""
        self.silent = silent
        """Whether nothing came back at all, not even a refusal."""
        self.took = 0.0
        """Seconds the attempt lasted; the one who sent it writes this."""
        self.elsewhere = False
        """Whether another endpoint can be asked at once: then there is nothing to wait for."""


class GivenUp(Exception):
    """Patience ran out; `last` is the fault that ended it."""

    def __init__(self, last: Passing, attempts: int, spent: float) -> None:
        super().__init__(last.what)
        self.last = last
        self.attempts = attempts
        self.spent = spent


class _Course:
    """How one call has fared so far; tenacity asks it whether to stop and how long to wait."""

    def __init__(self, patience: Patience) -> None:
        from tenacity import wait_random_exponential

        self.patience = patience
        self.spent = 0.0
        self.broken = 0
        self.down_for = 0.0
        self._jitter = wait_random_exponential(multiplier=patience.first_wait_s, max=patience.longest_wait_s)

    def wait(self, state: RetryCallState) -> float:
        fault = _fault(state)
        if fault.elsewhere:
            return 0.0
        if fault.retry_after:
            # The jitter on top keeps the many calls that were told the same moment from coming back at once.
            return fault.retry_after + random.uniform(0, self.patience.first_wait_s)
        return self._jitter(state)

    def stop(self, state: RetryCallState) -> bool:
        fault, pause = _fault(state), state.upcoming_sleep
        self.spent += fault.took
        self.broken += fault.kind == "broken"
        gone = fault.kind == "down" and not fault.elsewhere
        self.down_for = self.down_for + fault.took if gone else 0.0
        over = (
            self.spent + pause >= self.patience.total_s
            or self.broken >= self.patience.attempts
            or (gone and self.down_for + pause >= self.patience.down_s)
        )
        if not over:
            self.spent += pause
            self.down_for += pause if gone else 0.0
        return over


def _fault(state: RetryCallState) -> Passing:
    fault = state.outcome.exception() if state.outcome else None
    if not isinstance(fault, Passing):
        raise TypeError(f"asked to wait after {fault!r}")
    return fault


async def persist(attempt: Callable[[float], Awaitable[T]], first: Passing, patience: Patience) -> T:
    """Go on after a first failed attempt, with exponential back-off and full jitter, until one succeeds.

    The first attempt is made by the caller: nearly every call needs no more, and setting up the retries costs more
    than the rest of a call's own work.

    Args:
        attempt: makes one attempt; gets its deadline in seconds; raises `Passing` to be called again.
        first: how the first attempt failed.
        patience: when to give up.

    Raises:
        GivenUp: patience ran out. Whatever else `attempt` raises goes through.
    """
    from tenacity import AsyncRetrying, retry_if_exception_type

    course = _Course(patience)
    retrying = AsyncRetrying(wait=course.wait, stop=course.stop, retry=retry_if_exception_type(Passing), reraise=True)
    replay: list[Passing] = [first]

    async def next_attempt() -> T:
        if replay:
            raise replay.pop()
        return await attempt(max(_LEAST_ATTEMPT_S, min(patience.attempt_s, patience.total_s - course.spent)))

    try:
        return await retrying(next_attempt)
    except Passing as fault:
        last = fault
    raise GivenUp(last, int(retrying.statistics.get("attempt_number", 1)), course.spent)
