"""Opening a server's parts from its settings, keeping them running, and closing them."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rules.errors import WardlawError
from rules.files import packs
from rules.schema import Action
from server.audit.database import database_url
from server.auth import KeyDoor, OpenDoor
from server.building import Built, build, load_checked
from server.inforce import InForce
from server.limits import ServerLimits
from server.parts import Parts
from server.reload import Reloaded, Reloader
from server.running import Running
from server.settings import ServerSettings, is_loopback
from server.shadow.candidates import Candidates
from server.shadow.judging import Shadowing
from server.shadow.opening import candidates_told, open_shadowing
from server.telemetry.telemetry import ServerTelemetry
from server.upstreams.settings import UpstreamSettings
from server.watching import Watching

if TYPE_CHECKING:
    from guard.models.base import ChatModel
    from rules.schema import Constitution
    from server.audit.keeper import Keeper

_log = logging.getLogger(__name__)

_GAUGES_S = 1.0


@dataclass(slots=True)
class Opened:
    """Open parts of one worker."""

    parts: Parts
    reloader: Reloader
    audit: Keeper
    telemetry: ServerTelemetry
    limits: ServerLimits
    door: KeyDoor | OpenDoor
    guards: InForce
    mender: ChatModel | None
    candidates: Candidates
    shadowing: Shadowing | None = None
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)
    _closed: bool = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run what goes on beside the requests: keys, rule files, gauges."""
        settings = self.parts.settings
        self._start(self.limits.watch_lag(self.telemetry.metrics.lag.set))
        self._start(self._gauges())
        if isinstance(self.door, KeyDoor):
            self._start(self.door.refresh())
        if settings.reload.watch:
            own = set(packs())
            all_sources = (*settings.constitutions.values(), *settings.shadow.candidates.values())
            named = [source for sources in all_sources for source in sources if source not in own]
            if named:
                watching = Watching(
                    named,
                    lambda: (*self.reloader.files, *self.candidates.files),
                    lambda: self.reloader.reload("file"),
                    settle_ms=settings.reload.settle_ms,
                )
                self._start(watching.run())
        if self.shadowing is not None:
            self.shadowing.start()
        try:
            yield
        finally:
            if self.shadowing is not None:
                until = self.parts.running.drain_until
                left = settings.drain_s if until is None else max(0.0, until - time.monotonic())
                await self.shadowing.close(left)
            for task in self.tasks:
                task.cancel()
            await asyncio.gather(*self.tasks, return_exceptions=True)

    async def close(self) -> None:
        """Close everything, the audit after all that could still write to it. May be called twice."""
        if self._closed:
            return
        self._closed = True
        steps: list[Callable[[], Awaitable[Any]]] = [
            self.parts.upstream.close,
            lambda: asyncio.to_thread(self.guards.close),
            self.audit.close,
            lambda: asyncio.to_thread(self.telemetry.close),
        ]
        if self.mender is not None:
            steps.insert(0, self.mender.close)
        if isinstance(self.door, KeyDoor):
            steps.append(partial(asyncio.to_thread, self.door.close))
        for step in steps:
            try:
                await step()
            except Exception:
                _log.exception("a part does not close")

    def _start(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(_tell_fault)
        self.tasks.append(task)

    async def _gauges(self) -> None:
        metrics, told = self.telemetry.metrics, 0
        while True:
            metrics.in_flight.set(self.limits.in_flight)
            metrics.backlog.set(self.audit.health().waiting)
            if self.shadowing is not None:
                metrics.shadow_waiting.set(self.shadowing.waiting)
            metrics.shed(self.limits.shed - told)
            told = self.limits.shed
            await asyncio.sleep(_GAUGES_S)


async def open_parts(settings: ServerSettings, *, parent: int | None = None) -> Opened:
    """Open all parts, whatever is wrong first.

    Args:
        settings: everything that can be set.
        parent: process id of the supervisor, where there is one.

    Raises:
        WardlawError: rules, gate, upstream, database or telemetry cannot be used.
    """
    from server.audit.open import open_audit
    from server.upstreams.opening import open_upstream

    _check(settings)
    # Cheapest first: a slip in the rules is told before a model is loaded for seconds.
    loaded = {name: await asyncio.to_thread(load_checked, sources) for name, sources in settings.constitutions.items()}
    with_keys = settings.auth == "keys"
    if with_keys and _is_asked_without_key(settings.upstream):
        what = "the upstream is asked without a key: clients' keys are this server's and are not handed on"
        _log.warning("%s (set `upstream.key_file` or `upstream.key` if it needs one)", what)
    upstream = await asyncio.to_thread(open_upstream, settings.upstream, credentials=not with_keys)
    url = database_url(settings.database, settings.folder)
    audit: Keeper | None = None
    built: dict[str, Built] = {}
    candidates: Candidates | None = None
    try:
        audit = await asyncio.to_thread(
            open_audit, settings.audit, url=url, folder=settings.folder, worker=f"w{os.getpid()}"
        )
        door = await asyncio.to_thread(_door, settings, url)
        mender = _mender(settings, upstream)
        for name, each in loaded.items():
            built[name] = await asyncio.to_thread(build, each, settings, mender)
        candidates = Candidates(settings, mender)
        await asyncio.to_thread(candidates.open)
        telemetry = ServerTelemetry(settings.log)
    except BaseException:
        for ready in built.values():
            ready.guard.close()
        if candidates is not None:
            candidates.close()
        if audit is not None:
            await audit.close()
        await upstream.close()
        raise
    for name, ready in built.items():
        _tell_of_revisions(name, ready.constitution, settings)
    guards = InForce({name: each.guard for name, each in built.items()}, percent=settings.rollout.percent)
    metrics = telemetry.metrics
    digests: dict[str, str] = {}

    def reloaded(done: Reloaded) -> None:
        metrics.reloaded(done.outcome, failing=bool(reloader.failed))
        metrics.constitutions(reloader.digests, digests)
        digests.update(reloader.digests)

    reloader = Reloader(settings, built, guards, mender, on_reloaded=reloaded)
    reloader.candidates = candidates
    shadowing = open_shadowing(settings, candidates, guards, audit, metrics)
    candidates.attach(guards)
    rolled = candidates.wait_s if settings.rollout.percent else lambda: 0.0
    limits = ServerLimits(
        settings.limits, door, workers=settings.workers, gate_wait=lambda: max(reloader.wait_s(), rolled())
    )
    metrics.constitutions(reloader.digests, digests)
    digests.update(reloader.digests)
    running = Running(reloader=reloader)
    running.faults["reviser"] = lambda: guards.fault
    running.faults["audit"] = lambda: audit.health().fault
    running.blocked = lambda: _audit_blocks(settings, audit)
    running.faults["candidate"] = lambda: candidates.fault
    if shadowing is not None:
        running.candidates = partial(candidates_told, settings, candidates, shadowing, lambda: reloader.digests)
    if isinstance(door, KeyDoor):
        running.faults["keys"] = lambda: door.fault
    if parent is not None:
        running.reload_others = lambda: _tell(parent, settings.workers - 1)
    parts = Parts(settings, guards, upstream, audit, door, limits, telemetry, running, shadowing)
    return Opened(parts, reloader, audit, telemetry, limits, door, guards, mender, candidates, shadowing)


def _check(settings: ServerSettings) -> None:
    """What each setting alone cannot know."""
    if settings.auth == "none" and "default" not in settings.constitutions:
        hint = "name one of them `default`, or set `auth: keys` and give each client a key of its own"
        raise WardlawError("without keys everybody is judged by the constitution `default`, and there is none", hint)


def _is_asked_without_key(upstream: UpstreamSettings) -> bool:
    """Whether another machine is asked, and without a key."""
    return bool(upstream.url) and upstream.key is None and not is_loopback(urlsplit(upstream.url).hostname or "")


def _door(settings: ServerSettings, url: str) -> KeyDoor | OpenDoor:
    if settings.auth == "none":
        return OpenDoor()
    from server.keys.store import KeyStore

    door = KeyDoor(KeyStore(url), settings.keys_refresh_s, settings.constitutions)
    # Without the keys nobody could be let in: better not to start than to refuse everybody.
    door.load()
    return door


def _mender(settings: ServerSettings, upstream: Any) -> ChatModel | None:
    if settings.reviser == "none":
        return None
    from guard.models import open_model

    if settings.reviser == "upstream" or settings.reviser.startswith("upstream:"):
        from server.revising import UpstreamModel

        return UpstreamModel(upstream, settings.reviser.partition(":")[2])
    try:
        return open_model(settings.reviser)
    except WardlawError as error:
        hint = f"`none`, `upstream`, or another model: {error.hint}"
        raise WardlawError(f"`reviser`: {error.what}", hint) from None


def _tell_of_revisions(name: str, constitution: Constitution, settings: ServerSettings) -> None:
    """Say in the log where rules ask for revisions that nobody can make."""
    if settings.reviser != "none":
        return
    rules = [rule for rule in constitution if any(rule.action(part) is Action.REVISE for part in rule.watches)]
    if rules:
        count = "1 rule says" if len(rules) == 1 else f"{len(rules)} rules say"
        what = "%s `revise` in the constitution `%s`, and no reviser is set: the reply stands for each revision"
        _log.warning(f"{what} (`--reviser upstream` lets the upstream revise)", count, name)


def _audit_blocks(settings: ServerSettings, audit: Keeper) -> str:
    """Why no decision can be kept, where requests fail then."""
    kept, health = settings.audit, audit.health()
    if kept.on_failure == "allow":
        return ""
    if kept.write == "database" and health.fault:
        return "the audit's database does not take decisions"
    if health.waiting >= kept.journal_bytes:
        return "the audit's journal is full"
    # Forgotten after some seconds in which nobody tried, as nobody does while this keeps requests away.
    return "the audit cannot keep decisions" if health.refusing else ""


def _tell(parent: int, others: int) -> int:
    """Ask the supervisor to let all workers reload."""
    import signal

    # Where the supervisor is gone, its number may be another process's by now.
    if os.getppid() != parent:
        return 0
    os.kill(parent, signal.SIGHUP)
    return others


def _tell_fault(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and task.exception() is not None:
        _log.error("work in the background ended", exc_info=task.exception())
