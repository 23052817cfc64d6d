"""The endpoints of a pool: who is in it now, and the tasks that check them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from guard.models._pool_health import Weights, look, settle, watch
from guard.models._pool_member import Member
from guard.models._pool_spec import PoolSpec
from guard.models.base import ModelConfigError

_log = logging.getLogger(__name__)
_SHOWN = 8
"""Endpoints that a message names with all that is wrong with them."""


class Roster:
    """Who is in the pool. Its tasks belong to the event loop in which `open` was called last."""

    def __init__(self, spec: PoolSpec, *, most: int, changed: Callable[[Member], None]) -> None:
        """Args: most: calls in flight at one endpoint. changed: told whose state is another."""
        self._spec = spec
        self._most = most
        self._changed = changed
        self._weights = Weights(any=spec.roots == "any")
        self._tasks: set[asyncio.Task[None]] = set()
        self._mark = self._file_mark()
        self._left: list[Member] = []
        self.members: tuple[Member, ...] = ()
        self._update()

    async def open(self) -> None:
        """Look at every endpoint once, at the same time, and go on checking them.

        Raises:
            ModelConfigError: one answers and cannot be used. Those that do not answer are left out for now.
        """
        self._stop()
        members, deadline = self.members, self._spec.health_s
        seen = await asyncio.gather(*(look(member, deadline) for member in members))
        for member, found in zip(members, seen, strict=True):
            settle(member, found, self._weights)
        wrong = [member.breaker.error for member in members if member.breaker.state == "wrong"]
        errors = [error for error in wrong if error is not None]
        if errors:
            raise together(errors, len(members))
        for member in members:
            self._watch(member)
            if not member.usable:
                _log.warning("left out of the pool for now: %s", said(member))
        if self._spec.file is not None:
            self._start(self._follow())

    async def close(self) -> None:
        """End the checks and close all connections."""
        self._stop()
        for member in (*self.members, *self._left):
            await member.client.close()
        self._left.clear()

    async def _follow(self) -> None:
        """Read the file again when it changes. One that cannot be read leaves the endpoints as they are."""
        while True:
            await asyncio.sleep(self._spec.health_s)
            mark = self._file_mark()
            if mark == self._mark:
                continue
            self._mark = mark
            try:
                joined = self._update()
            except ModelConfigError as error:
                _log.warning("the endpoints stay as they are: %s", error.what)
                continue
            for member in joined:
                self._watch(member)
            _log.warning("%s names %d endpoints now", self._spec.file, len(self.members))

    def _update(self) -> list[Member]:
        """Let endpoints join and leave as the name or the file says now; those that joined."""
        named = {endpoint.base: endpoint for endpoint in self._spec.endpoints()}
        kept = [member for member in self.members if named.get(member.base) == member.endpoint]
        for member in self.members:
            if member not in kept:
                member.leaving = True
                member.turned.set()
                self._left.append(member)
        there = {member.base for member in kept}
        joined = [
            Member(endpoint, most=self._most, health_s=self._spec.health_s, changed=self._changed)
            for base, endpoint in named.items()
            if base not in there
        ]
        self.members = (*kept, *joined)
        return joined

    def _watch(self, member: Member) -> None:
        self._start(self._keep(member))

    async def _keep(self, member: Member) -> None:
        await watch(member, self._spec.health_s, self._weights)
        self._left.remove(member)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _stop(self) -> None:
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            # a task of a loop that has ended ended with it
            if not task.get_loop().is_closed():
                task.cancel()

    def _file_mark(self) -> tuple[int, int, int] | None:
        if self._spec.file is None:
            return None
        try:
            found = self._spec.file.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


def together(errors: Sequence[ModelConfigError], of: int) -> ModelConfigError:
    """What is wrong with some endpoints, in one error."""
    if len(errors) == 1:
        return ModelConfigError(errors[0].what, errors[0].hint)
    shown = "; ".join(error.what for error in errors[:_SHOWN])
    more = f"; and {len(errors) - _SHOWN} more" if len(errors) > _SHOWN else ""
    return ModelConfigError(
        f"{len(errors)} of the {of} endpoints of the pool cannot be used: {shown}{more}", errors[0].hint
    )


def silence(members: Sequence[Member]) -> str:
    """Why none of the endpoints can be asked, each named with since when."""
    shown = [f"{said(member)} (since {member.breaker.since:%Y-%m-%d %H:%M:%S})" for member in members[:_SHOWN]]
    rest = members[_SHOWN:]
    if rest:
        earliest = min(member.breaker.since for member in rest)
        names = ", ".join(f"`{member.base}`" for member in rest)
        shown.append(f"and {len(rest)} more since {earliest:%H:%M:%S} or later: {names}")
    return "; ".join(shown)


def said(member: Member) -> str:
    """An endpoint and why it is not asked."""
    return f"`{member.base}` {member.breaker.why.removeprefix(f'`{member.base}` ')}"
