"""Reloading: new rules are loaded, built and tried out aside, and come into force in one step, or not at all."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from guard.trials.change import Change, Demand, compare, named
from rules.errors import RuleError, WardlawError
from server.building import Built, build, heads_mark, load_checked

if TYPE_CHECKING:
    from guard.models.base import ChatModel
    from rules.schema import Constitution
    from server.inforce import InForce
    from server.settings import ServerSettings
    from server.shadow.candidates import Candidates, Tried

_log = logging.getLogger(__name__)

_COLLECTED_S = 2.0
"""Seconds after a swap, when the requests that were under the old rules have mostly ended."""


Outcome: TypeAlias = Literal["swapped", "unchanged", "failed", "ready"]
"""`ready`: it was only tried, and would have been swapped."""


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What came of reloading one constitution."""

    constitution: str
    outcome: Outcome
    digest: str
    """Of what is in force now."""
    added: tuple[str, ...] = ()
    """Ids of rules, as in the two that follow."""
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    trial: Change = field(default_factory=Change)
    error: str = ""
    """Why it failed: place, what is wrong, what to do."""
    where: str = ""
    """`path:line:column` of the first fault, where it has one."""
    at: float = 0.0
    """Seconds since the epoch."""
    seconds: float = 0.0

    def told(self, *, listed: bool = False) -> dict[str, Any]:
        """As `POST /admin/reload` and `/healthz` tell it. Args: listed: each test that fails, too."""
        told: dict[str, Any] = {"outcome": self.outcome, "digest": self.digest}
        if self.outcome in ("swapped", "ready"):
            told["rules"] = {"added": self.added, "removed": self.removed, "changed": self.changed}
        if self.outcome != "unchanged" or listed:
            trial = self.trial
            told["tests"] = {
                "run": trial.run,
                "failing": len(trial.failing),
                "worse": [{"rule": test.case.rule, "kind": test.case.kind} for test in trial.worse],
                "new": [{"rule": test.case.rule, "kind": test.case.kind} for test in trial.fresh],
                "contracts": [
                    {"rule": breach.rule, "clause": breach.clause, "asked": breach.asked, "measured": breach.measured}
                    for breach in trial.breaches
                ],
            }
            if listed:
                told["tests"]["listed"] = [
                    {"rule": test.case.rule, "kind": test.case.kind, "text": test.case.text} for test in trial.failing
                ]
            told["seconds"] = round(self.seconds, 3)
        if self.error:
            told["error"] = self.error
            told["where"] = self.where
        return told


class Reloader:
    """Reloads the constitutions of one worker, one reload at a time."""

    def __init__(
        self,
        settings: ServerSettings,
        built: Mapping[str, Built],
        guards: InForce,
        mender: ChatModel | None = None,
        *,
        on_reloaded: Callable[[Reloaded], None] = lambda _: None,
    ) -> None:
        """Args: built: what is in force; guards: where it is swapped; on_reloaded: told of each outcome."""
        self._settings = settings
        self._built = dict(built)
        self._guards = guards
        self._mender = mender
        self._on_reloaded = on_reloaded
        self._lock = asyncio.Lock()
        self.candidates: Candidates | None = None
        """What is loaded again after the rules in force."""
        self.last: dict[str, Reloaded] = {}
        """Name -> what came of the last reload that was not `unchanged`, or that mended a failed one."""

    @property
    def digests(self) -> dict[str, str]:
        """Name -> digest in force."""
        return {name: built.digest for name, built in self._built.items()}

    @property
    def sizes(self) -> dict[str, int]:
        """Name -> how many rules are in force."""
        return {name: len(built.constitution) for name, built in self._built.items()}

    def wait_s(self) -> float:
        """Seconds that a text would wait for the models of the busiest gate."""
        return max(built.gate.wait_s for built in self._built.values())

    @property
    def files(self) -> tuple[str, ...]:
        """All rule files that were read."""
        return tuple(dict.fromkeys(str(path) for built in self._built.values() for path in built.files))

    @property
    def failed(self) -> dict[str, Reloaded]:
        """The constitutions whose last reload failed."""
        return {name: each for name, each in self.last.items() if each.outcome == "failed"}

    async def reload(self, why: str) -> list[Reloaded]:
        """Load all constitutions again. What is in force stays until all that can change is ready; then it is swapped.

        Args:
            why: for the log: `file`, `signal`, `request`.
        """
        async with self._lock:
            # Each on its own: a bad file of one constitution must not keep the others old.
            found = [await asyncio.to_thread(self._prepare, name, now) for name, now in self._built.items()]
            fresh = {done.constitution: built for done, built in found if built is not None}
            self._guards.swap({name: built.guard for name, built in fresh.items()})
            if fresh:
                # A gate is full of cycles, ten megabytes with what it remembers, and full collections are rare here.
                asyncio.get_running_loop().call_later(_COLLECTED_S, gc.collect)
            self._built.update(fresh)
            results = [done for done, _ in found]
            for done in results:
                self._note(done, why)
            if all(done.outcome == "unchanged" for done in results):
                names = named(done.constitution for done in results)
                _log.info("reloaded: nothing has changed in %s", names, extra={"why": why})
            if self.candidates is not None:
                await self.candidates.reload(why)
            return results

    async def rehearse(self) -> tuple[list[Reloaded], dict[str, Tried]]:
        """Do all that a reload does but swap, and run the tests also of what has not changed.

        Returns:
            what would come of the rules in force; and, by name, of their candidates.
        """
        async with self._lock:
            found = [await asyncio.to_thread(self._prepare, name, now, True) for name, now in self._built.items()]
            for _, built in found:
                if built is not None:
                    await asyncio.to_thread(built.guard.close)
            beside = await self.candidates.rehearse() if self.candidates is not None else {}
            done = [replace(done, outcome="ready") if done.outcome == "swapped" else done for done, _ in found]
            return done, beside

    def _note(self, done: Reloaded, why: str) -> None:
        mended = done.outcome == "unchanged" and done.constitution in self.failed
        if done.outcome != "unchanged" or mended:
            self.last[done.constitution] = done
        extra = {"digest": done.digest, "why": why}
        name = done.constitution
        if done.outcome == "failed":
            _log.error("reload of `%s` failed, the last good rules stay in force: %s", name, done.error, extra=extra)
        elif done.outcome == "swapped":
            sets = {"added": done.added, "removed": done.removed, "changed": done.changed}
            rules = "; ".join(f"{len(ids)} {what} ({named(ids)})" for what, ids in sets.items() if ids)
            told = rules or "none says anything else to the gate"
            _log.info(
                "reloaded `%s` in %.2f s: rules: %s; %s", name, done.seconds, told, done.trial.counted(), extra=extra
            )
        elif mended:
            _log.info("reloaded `%s`: its files are again what is in force", name, extra=extra)
        self._on_reloaded(done)

    def _prepare(self, name: str, now: Built, rehearsed: bool = False) -> tuple[Reloaded, Built | None]:
        """In a thread: the new guard of one constitution, or why there is none."""
        began = time.monotonic()

        def result(outcome: Outcome, digest: str, **more: Any) -> Reloaded:
            return Reloaded(name, outcome, digest, at=time.time(), seconds=time.monotonic() - began, **more)

        try:
            loaded = load_checked(self._settings.constitutions[name])
            # Not the digest: a title or a test may have changed, which no verdict depends on and people read.
            same_heads = heads_mark(self._settings.gate.heads) == now.heads
            if loaded.constitution == now.constitution and same_heads:
                return result("unchanged", now.digest, trial=compare(now.gate) if rehearsed else Change()), None
            built = build(loaded, self._settings, self._mender)
        except WardlawError as error:
            where = str(error.where) if isinstance(error, RuleError) and error.where else ""
            return result("failed", now.digest, error=str(error), where=where), None
        except Exception as error:  # whatever it is, the rules in force stay
            _log.exception("reload failed")
            return result("failed", now.digest, error=f"{type(error).__name__}: {error}"), None
        try:
            trial, fault = tried(built, now, self._settings.reload.tests, rehearsed=rehearsed)
        except Exception as error:
            _log.exception("the rules' tests cannot be run")
            trial, fault = Change(), f"the rules' tests cannot be run: {type(error).__name__}: {error}"
        if fault:
            built.guard.close()
            return result("failed", now.digest, error=fault, trial=trial), None
        changes = _changes(now.constitution, built.constitution)
        return result("swapped", built.digest, trial=trial, **changes), built


def tried(built: Built, now: Built, how: Demand, *, rehearsed: bool = False) -> tuple[Change, str]:
    """The tests' outcome, and what speaks against the new rules. Blocks while models run.

    Args:
        built: the new rules.
        now: those that they are to take the place of.
        how: see `server.settings.ReloadSettings`.
        rehearsed: run the tests also where they decide nothing.
    """
    if how == "off" and not rehearsed:
        return Change(), ""
    trial = compare(built.gate, now.gate)
    return trial, trial.against(how, "`reload.tests: report` takes such rules all the same")


def _changes(before: Constitution, after: Constitution) -> dict[str, tuple[str, ...]]:
    """Which rules are new, gone, or say something else than before."""
    from rules.digest import rule_digest

    old = {rule.id: rule for rule in before}
    new = {rule.id: rule for rule in after}
    both = [rule_id for rule_id in new if rule_id in old]
    return {
        "added": tuple(rule_id for rule_id in new if rule_id not in old),
        "removed": tuple(rule_id for rule_id in old if rule_id not in new),
        "changed": tuple(rule_id for rule_id in both if rule_digest(old[rule_id]) != rule_digest(new[rule_id])),
    }
