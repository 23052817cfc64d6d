"""How this worker runs: what `/healthz`, `/readyz` and `/admin/reload` need to know beside the parts."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from server.reload import Reloader


@dataclass(slots=True)
class Running:
    """The state of one worker."""

    started: float = field(default_factory=time.time)
    """Seconds since the epoch."""
    pid: int = field(default_factory=os.getpid)
    draining: bool = False
    """Whether it has been told to stop: what is in hand goes on, and `/readyz` says 503."""
    reloader: Reloader | None = None
    """What `/admin/reload` asks; None where the parts were put together by hand."""
    reload_others: Callable[[], int] = lambda: 0
    """Tells the other workers to reload too, and says how many they are."""
    faults: dict[str, Callable[[], str]] = field(default_factory=dict)
    """Part -> says what is wrong with it, or nothing: for `/healthz`."""

    candidates: Callable[[bool], dict[str, dict[str, Any]]] = lambda _: {}
    """Says of each constitution's candidate its digest, what came of its last load, and its counts; with details or
    without."""
    drain_until: float | None = None
    """When what is in hand must have ended, by the monotonic clock; None while nobody has told it to stop."""

    blocked: Callable[[], str] = lambda: ""
    """Says why every request would fail, or nothing."""

    @property
    def degraded(self) -> Mapping[str, str]:
        """What runs, but not well: part -> why."""
        found = {name: fault() for name, fault in self.faults.items()}
        return {name: fault for name, fault in found.items() if fault}

    def reload_told(self, details: bool) -> dict[str, Any]:
        """The state of the rules, a constitution: its digest, and what came of the last reload.

        Args:
            details: which rules have changed, or why it failed, as well.
        """
        if self.reloader is None:
            return {}
        told: dict[str, Any] = {}
        for name, digest in self.reloader.digests.items():
            last = self.reloader.last.get(name)
            told[name] = {"digest": digest, "reload": {"outcome": last.outcome if last else "never"}}
            if last:
                if details:
                    told[name]["reload"] = last.told()
                told[name]["reload"]["at"] = last.at
        for name, candidate in self.candidates(details).items():
            told[name]["candidate"] = candidate
        return told
