"""Whether an endpoint of a pool may be asked: moved by calls and by checks, and by a check alone back to work."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import datetime
from typing import Literal

from guard.models._patience import Passing
from guard.models.base import ModelConfigError

State = Literal["new", "up", "trial", "out", "wrong"]
"""`new`: not checked yet; `trial`: it answers checks again, and is sent one call to see; `out`: it does not answer;
`wrong`: it answers, and cannot be used: another model, other weights, a key refused."""
USABLE = frozenset[State]({"up", "trial"})
"""In which calls are sent."""

_FAILURES = 3
"""Calls, or checks, that fail in a row until an endpoint is left out."""
_FIRST, _LONGEST = 0.25, 6.0
"""Pauses between the checks of an endpoint that is out, in pauses between those of one that is not; they double."""
_RESTS_S = 0.5
"""How long an endpoint that is busy and names no time is passed over, where others are not."""


class Breaker:
    """The state of one endpoint. No network and no clock of its own but the monotonic one.

    Unlike `guard.judging.breaker`, which knows calls alone: nobody's call is spent here on an endpoint that is dead.
    """

    def __init__(self, health_s: float, changed: Callable[[], None]) -> None:
        """Args: health_s: seconds between two checks. changed: called when the state is another."""
        self.state: State = "new"
        self.why = "not asked yet"
        """Why it is not usable."""
        self.error: ModelConfigError | None = None
        """What is wrong with it, where it is `wrong`."""
        self.since = datetime.now().astimezone()
        self._health_s = health_s
        self._changed = changed
        self._heard_at = float("-inf")
        self._rests_until = float("-inf")
        self._failed_in_a_row = 0
        self._unheard_in_a_row = 0
        self._unheard_since_out = 0

    @property
    def usable(self) -> bool:
        """Whether calls may be sent."""
        return self.state in USABLE

    @property
    def rests_s(self) -> float:
        """Seconds that it asked to be left in peace, from now."""
        return max(0.0, self._rests_until - time.monotonic())

    @property
    def next_check_s(self) -> float:
        """Seconds until the next check: none is due where a call was answered lately; a dead one is asked ever less."""
        if self.usable:
            return max(0.0, self._heard_at + self._health_s - time.monotonic())
        pause = min(_LONGEST, _FIRST * 2.0 ** min(self._unheard_since_out, 10))
        return self._health_s * pause * random.uniform(0.75, 1.25)

    def answered(self) -> None:
        """A call was answered."""
        self._heard_at = time.monotonic()
        self._failed_in_a_row = self._unheard_in_a_row = 0
        if self.state == "trial":
            self._unheard_since_out = 0
            self._become("up", "")

    def failed(self, fault: Passing) -> None:
        """A call failed."""
        if fault.kind == "busy":
            self._rests_until = time.monotonic() + (fault.retry_after or _RESTS_S)
            return
        self._failed_in_a_row += 1
        if self.usable and (fault.kind == "down" or self.state == "trial" or self._failed_in_a_row >= _FAILURES):
            self._out(fault.what)

    def heard(self) -> None:
        """A check was answered, and found nothing wrong."""
        self._heard_at = time.monotonic()
        self._unheard_in_a_row = 0
        if not self.usable:
            self._failed_in_a_row = 0
            self._become("up" if self.state == "new" else "trial", "")

    def unheard(self, fault: Passing) -> bool:
        """A check was not answered as it should be.

        Returns:
            whether the calls in flight should be called off: they wait for nothing.
        """
        self._unheard_in_a_row += 1
        often = self._unheard_in_a_row >= _FAILURES
        if not self.usable:
            self._unheard_since_out += 1
            if self.state != "out":
                self._become("out", fault.what)
            self.why = fault.what
        elif fault.kind == "down" or (often and fault.kind != "busy"):
            self._out(fault.what)
        else:
            self._heard_at = time.monotonic()  # the next check is due a pause from now
        # one that refuses connections may be finishing what it has, as at an orderly end: its calls are left to it
        return often and fault.silent

    def unfit(self, error: ModelConfigError) -> None:
        """It answers, and cannot be used."""
        self.error = error
        self._unheard_since_out += 1
        if self.state != "wrong":
            self._become("wrong", error.what)
        self.why = error.what

    def _out(self, why: str) -> None:
        # the pauses go on where they were if it failed its trial: one that dies at every call is tried ever less
        self._unheard_since_out += self.state == "trial"
        self._become("out", why)

    def _become(self, state: State, why: str) -> None:
        self.state, self.why = state, why
        self.since = datetime.now().astimezone()
        self._changed()
