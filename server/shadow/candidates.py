"""The candidates: loaded beside the rules in force, reloaded with them, and never in their way."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from rules.errors import RuleError, WardlawError
from server.building import Built, build, heads_mark, load_checked
from server.reload import tried

if TYPE_CHECKING:
    from collections.abc import Callable

    from guard.models.base import ChatModel
    from server.inforce import InForce
    from server.settings import ServerSettings

_log = logging.getLogger(__name__)

_COLLECTED_S = 2.0
"""Seconds after a swap, when what was judged by the old candidate has mostly ended."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of loading a candidate."""

    outcome: Literal["swapped", "unchanged", "failed", "ready"]
    """`ready`: it was only tried, and would have been swapped."""
    digest: str
    """Of the candidate that judges now; empty where none does."""
    error: str = ""
    """Why it failed: place, what is wrong, what to do."""
    where: str = ""
    """`path:line:column` of the first fault, where it has one."""
    at: float = 0.0
    """Seconds since the epoch."""

    def told(self, *, details: bool = True) -> dict[str, Any]:
        """For `/healthz` and `POST /admin/reload`. Args: details: why it failed, too."""
        told: dict[str, Any] = {"outcome": self.outcome, "at": self.at}
        if self.error and details:
            told |= {"error": self.error, "where": self.where}
        return told


class Candidates:
    """The candidates of one worker. All but `open` belong to its event loop."""

    def __init__(self, settings: ServerSettings, mender: ChatModel | None = None) -> None:
        """Nothing is loaded yet.

        Args:
            settings: which, and how they judge: as the rules in force do.
            mender: what mends answers of keys that are under a candidate.
        """
        self._settings = settings
        self._mender = mender
        self.on_changed: Callable[[dict[str, str]], None] = lambda _: None
        """Told name -> digest after each load."""
        self._built: dict[str, Built] = {}
        self._guards: InForce | None = None
        self.last: dict[str, Tried] = {}
        """Name -> what came of the last load that was not `unchanged`, or that mended a failed one."""

    @property
    def digests(self) -> dict[str, str]:
        """Name -> digest of the candidate that judges; names whose candidate never could be loaded are left out."""
        return {name: built.digest for name, built in self._built.items()}

    @property
    def files(self) -> tuple[str, ...]:
        """All rule files that were read."""
        return tuple(dict.fromkeys(str(path) for built in self._built.values() for path in built.files))

    @property
    def fault(self) -> str:
        """What is wrong with candidates; empty while nothing is."""
        told = []
        for name, each in self.last.items():
            if each.outcome == "failed":
                kept = "the last good one goes on" if name in self._built else "there is none"
                told.append(f"the candidate of `{name}` cannot be used, {kept}: {each.error.splitlines()[0]}")
        return "; ".join(told)

    def wait_s(self) -> float:
        """Seconds that a text would wait for the models of the busiest candidate."""
        return max((built.gate.wait_s for built in self._built.values()), default=0.0)

    def open(self) -> None:
        """Load all candidates. Blocks; for the start, before `attach`.

        Raises:
            WardlawError: one cannot be used, and the settings require it.
        """
        for name in self._settings.shadow.candidates:
            tried, built = self._prepare(name)
            if built is not None:
                self._built[name] = built
            elif self._settings.shadow.required:
                self.close()
                raise WardlawError(
                    f"the candidate of `{name}` cannot be used: {tried.error}",
                    "mend it, or let the server start without it: `shadow.required: false`",
                )
            else:
                _log.error("THE CANDIDATE of `%s` is not judged, the server starts without it: %s", name, tried.error)
            self.last[name] = tried

    def attach(self, guards: InForce) -> None:
        """Put the candidates beside the rules in force, which own and close them from now on."""
        self._guards = guards
        for name, built in self._built.items():
            guards.swap_candidate(name, built.guard)
        self.on_changed(self.digests)

    def close(self) -> None:
        """Close candidates that were never attached."""
        if self._guards is None:
            for built in self._built.values():
                built.guard.close()
            self._built.clear()

    async def reload(self, why: str) -> dict[str, Tried]:
        """Load all candidates again; one that cannot be used leaves the last good one. Never raises.

        Args:
            why: for the log: `file`, `signal`, `request`.
        """
        done: dict[str, Tried] = {}
        for name in self._settings.shadow.candidates:
            tried, built = await asyncio.to_thread(self._prepare, name)
            done[name] = tried
            mended = tried.outcome == "unchanged" and name in self.last and self.last[name].outcome == "failed"
            if tried.outcome != "unchanged" or mended:
                self.last[name] = tried
            if built is not None and self._guards is not None:
                self._built[name] = built
                self._guards.swap_candidate(name, built.guard)
                asyncio.get_running_loop().call_later(_COLLECTED_S, gc.collect)
                _log.info("the candidate of `%s` is loaded", name, extra={"digest": tried.digest, "why": why})
            elif tried.outcome == "failed":
                kept = "the last good one goes on" if name in self._built else "there is none"
                _log.error("the candidate of `%s` cannot be used, %s: %s", name, kept, tried.error, extra={"why": why})
        self.on_changed(self.digests)
        return done

    async def rehearse(self) -> dict[str, Tried]:
        """Do all that a reload does but swap. Never raises."""
        done: dict[str, Tried] = {}
        for name in self._settings.shadow.candidates:
            found, built = await asyncio.to_thread(self._prepare, name)
            if built is not None:
                await asyncio.to_thread(built.guard.close)
                found = replace(found, outcome="ready")
            done[name] = found
        return done

    @property
    def failed(self) -> dict[str, bool]:
        """Name -> whether its last load failed."""
        return {name: each.outcome == "failed" for name, each in self.last.items()}

    def _prepare(self, name: str) -> tuple[Tried, Built | None]:
        """In a thread: the new guard of one candidate, or why there is none."""
        now = self._built.get(name)
        digest = now.digest if now else ""
        try:
            loaded = load_checked(self._settings.shadow.candidates[name])
            same_heads = now is not None and heads_mark(self._settings.gate.heads) == now.heads
            if now is not None and loaded.constitution == now.constitution and same_heads:
                return Tried("unchanged", digest, at=time.time()), None
            built = build(loaded, self._settings, self._mender)
            if fault := self._fault_of(built, now):
                built.guard.close()
                return Tried("failed", digest, fault, at=time.time()), None
        except WardlawError as error:
            where = str(error.where) if isinstance(error, RuleError) and error.where else ""
            return Tried("failed", digest, str(error), where, time.time()), None
        except Exception as error:  # whatever it is, what is in force goes on
            _log.exception("a candidate cannot be loaded")
            return Tried("failed", digest, f"{type(error).__name__}: {error}", at=time.time()), None
        return Tried("swapped", built.digest, at=time.time()), built

    def _fault_of(self, built: Built, now: Built | None) -> str:
        """What speaks against a new candidate that some keys are under.

        For these it comes into force, so the tests decide as for the rules in force: at the start, about neither.
        """
        if now is None or not self._settings.rollout.percent:
            return ""
        try:
            return tried(built, now, self._settings.reload.tests)[1]
        except Exception as error:
            _log.exception("the rules' tests cannot be run")
            return f"the rules' tests cannot be run: {type(error).__name__}: {error}"
