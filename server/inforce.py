"""The constitutions in force: each name stands for a guard, which may be swapped while requests hold the old one.

A name may have a candidate beside it, which acts for the keys of the roll-out.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from types import TracebackType

from guard.guard import Guard
from rules.words import quoted
from server.parts import Denied
from server.shadow.rollout import is_under

_log = logging.getLogger(__name__)


class _Held:
    """A guard, and how many requests are under it."""

    __slots__ = ("guard", "leases", "retired")

    def __init__(self, guard: Guard) -> None:
        self.guard = guard
        self.leases = 0
        self.retired = False

    def close_if_free(self) -> None:
        if self.retired and not self.leases:
            # Closing waits for the gate's threads, which the event loop must not.
            threading.Thread(target=_close, args=(self.guard,), name="wardlaw-retire").start()


class Lease:
    """One request's hold on a guard."""

    __slots__ = ("_held",)

    def __init__(self, held: _Held) -> None:
        self._held = held

    def __enter__(self) -> Guard:
        self._held.leases += 1
        return self._held.guard

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.leases -= 1
        if self._held.retired:
            self._held.close_if_free()


class InForce:
    """See `server.parts.Guards`. To be used from one event loop."""

    def __init__(self, guards: Mapping[str, Guard], *, percent: float = 0.0) -> None:
        """The guards to begin with; they are closed with this. Args: percent: of keys that are under the candidate."""
        self._held = {name: _Held(guard) for name, guard in guards.items()}
        self._candidates: dict[str, _Held] = {}
        self._percent = percent
        self._closed = False

    def lease(self, name: str, key: str = "") -> Lease:
        """The guard of a constitution as it is now; it is not closed before the lease ends, whatever is reloaded.

        Args:
            name: of the constitution.
            key: id of the client's key: for those in the roll-out, the candidate's guard.

        Raises:
            Denied: there is no such constitution, as when a key names one that was taken out of the settings.
        """
        held = self._held.get(name)
        if held is None:
            raise Denied(403, f"the constitution {quoted(name)} is not in force", "ask for a key of another one")
        if self._percent and (candidate := self._candidates.get(name)) and is_under(self._percent, name, key):
            held = candidate
        return Lease(held)

    def pair(self, name: str) -> tuple[Lease, Lease] | None:
        """The guard in force and its candidate; None where there is none, or where both are of the same rules."""
        held, candidate = self._held.get(name), self._candidates.get(name)
        if held is None or candidate is None or held.guard.gate.digest == candidate.guard.gate.digest:
            return None
        return Lease(held), Lease(candidate)

    @property
    def fault(self) -> str:
        """What is wrong with the revisers of guards in force; empty while nothing is."""
        every = (*self._held.values(), *self._candidates.values())
        return "; ".join(dict.fromkeys(fault for held in every if (fault := held.guard.fault)))

    def swap(self, guards: Mapping[str, Guard]) -> None:
        """Put guards in force, all in one step: no request sees some of them old and some new.

        Each old guard is closed when its last request has ended; the new ones at once where all is closed already.
        """
        if self._closed:
            for guard in guards.values():
                _close(guard)
            return
        retired = [self._held[name] for name in guards if name in self._held]
        self._held = {**self._held, **{name: _Held(guard) for name, guard in guards.items()}}
        for held in retired:
            held.retired = True
            held.close_if_free()

    def swap_candidate(self, name: str, guard: Guard) -> None:
        """Put a candidate beside a constitution, in place of the one that was there; see `swap`."""
        if self._closed:
            _close(guard)
            return
        before = self._candidates.get(name)
        self._candidates[name] = _Held(guard)
        if before is not None:
            before.retired = True
            before.close_if_free()

    def close(self) -> None:
        """Close all guards, whoever holds them. May be called twice."""
        self._closed = True
        held, self._held = (*self._held.values(), *self._candidates.values()), {}
        self._candidates = {}
        for each in held:
            if not each.retired:
                each.retired = True
                _close(each.guard)


def _close(guard: Guard) -> None:
    try:
        guard.close()
    except Exception:
        _log.exception("a guard does not close")
