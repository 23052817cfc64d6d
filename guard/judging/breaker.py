"""A circuit breaker: a model that keeps failing is left alone, so that nobody waits for it in vain.

Own lines, since the libraries looked at either know no asyncio or have had no release for years.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from rules.errors import WardlawError


class BreakerOpen(WardlawError):
    """The model failed too often in a row and is not asked for now."""


class Breaker:
    """Closed, it lets all asks pass; open, after `failures` in a row, none; after `rest_s` one, to see.

    Not safe to use from several threads.
    """

    def __init__(self, failures: int, rest_s: float, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._failures = failures
        self._rest_s = rest_s
        self._monotonic = monotonic
        self._in_a_row = 0
        self._opened: float | None = None
        self._probing = False
        self._last = ""

    @property
    def open(self) -> bool:
        """Whether asks are turned away; a probe may be under way."""
        return self._opened is not None

    @property
    def last(self) -> str:
        """Why it failed last."""
        return self._last

    def enter(self) -> bool:
        """Let an ask pass; each must end in `succeeded`, `failed` or `passed_by`.

        Returns:
            whether it is the probe.

        Raises:
            BreakerOpen: the model is left alone.
        """
        if self._opened is None:
            return False
        left = self._opened + self._rest_s - self._monotonic()
        if left > 0 or self._probing:
            raise BreakerOpen(f"left alone after {self._in_a_row} failures in a row; the last: {self._last}")
        self._probing = True
        return True

    def succeeded(self) -> None:
        """The model answered."""
        self._opened, self._probing, self._in_a_row = None, False, 0

    def failed(self, why: str, *, probe: bool) -> None:
        """The model did not answer, by its own fault."""
        self._in_a_row += 1
        self._last = why
        if probe or self._in_a_row >= self._failures:
            self._opened = self._monotonic()
        if probe:
            self._probing = False

    def passed_by(self, *, probe: bool) -> None:
        """The ask ended without a word on the model's health: cancelled, or refused for what was in it."""
        if probe:
            self._probing = False
