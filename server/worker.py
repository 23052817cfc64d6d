"""One worker: opens the parts, listens, reloads on SIGHUP, and on SIGTERM or SIGINT lets what is in hand end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import uvicorn

from server.app import app_of
from server.front import Front
from server.http import protocol
from server.opening import open_parts
from server.running import Running
from server.settings import ServerSettings
from server.telemetry.logs import set_up

_log = logging.getLogger(__name__)

_CUT_S = 2.0
"""Seconds in which requests that are cut off may still tell their clients so."""
_TICK_S = 0.02
_GC_THRESHOLDS = (20_000, 20, 50)
"""A request leaves next to no cycles behind; at Python's own thresholds looking for them took a tenth of its time."""


@dataclass(frozen=True, slots=True)
class Listening:
    """What a worker says of itself once it listens."""

    upstream: str
    digests: dict[str, str] = field(default_factory=dict)
    rules: dict[str, int] = field(default_factory=dict)


def work(
    settings: ServerSettings,
    sock: socket.socket,
    *,
    on_listening: Callable[[Listening], None],
    parent: int | None = None,
    orphaned: socket.socket | Any = None,
) -> int:
    """Run a worker until it is told to stop.

    Args:
        settings: everything that can be set.
        sock: bound, not yet listening.
        on_listening: called once requests are taken.
        parent: process id of the supervisor, where there is one; it alone tells when to stop.
        orphaned: something with a `fileno` that becomes readable when the supervisor is gone.

    Returns:
        exit code: 0 where all that was in hand ended by itself, 1 where something was cut off.

    Raises:
        WardlawError: a part cannot be opened; nobody has listened then.
    """
    # Until there are rules to reload, a reload has nothing to do; the usual answer to SIGHUP is to die.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    set_up(settings.log)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_work(settings, sock, on_listening, parent, orphaned))


async def _work(
    settings: ServerSettings,
    sock: socket.socket,
    on_listening: Callable[[Listening], None],
    parent: int | None,
    orphaned: Any,
) -> int:
    opened = await open_parts(settings, parent=parent)
    try:
        reloader = opened.reloader
        config = uvicorn.Config(
            Front(app_of(settings, opened)),
            http=protocol(settings.limits),
            loop="none",
            lifespan="on",
            ws="none",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=settings.limits.keep_alive_s,
        )
        told = Listening(opened.parts.upstream.identity, reloader.digests, reloader.sizes)
        server = _Server(config, settings, opened.parts.running, lambda: on_listening(told))
        with server.signals(reload=lambda: reloader.reload("signal"), alone=parent is None, orphaned=orphaned):
            # What stands for as long as the server does is not looked through again by every full collection, which
            # would stall all requests for a tenth of a second.
            gc.collect()
            gc.freeze()
            gc.set_threshold(*_GC_THRESHOLDS)
            await server.serve(sockets=[sock])
        return 1 if server.cut else 0
    finally:
        await opened.close()


class _Server(uvicorn.Server):
    """uvicorn's server with an ending of its own."""

    def __init__(
        self, config: uvicorn.Config, settings: ServerSettings, running: Running, on_listening: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._settings = settings
        self._running = running
        self._on_listening = on_listening
        self._reloading: set[asyncio.Task[Any]] = set()
        self.cut = 0
        """Requests that did not end in time."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """They are ours: see `signals`."""
        yield

    @contextlib.contextmanager
    def signals(self, *, reload: Callable[[], Any], alone: bool, orphaned: Any) -> Iterator[None]:
        """Answer signals while the server runs.

        Args:
            reload: makes the coroutine that reloads.
            alone: whether there is no supervisor: else SIGINT, which a terminal sends to all, is left to it.
            orphaned: see `work`.
        """
        loop = asyncio.get_running_loop()
        handlers: dict[int, Callable[[], object]] = {
            signal.SIGTERM: self.stop,
            signal.SIGINT: self.stop if alone else lambda: None,
            signal.SIGHUP: lambda: self._reload(reload),
        }
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        if orphaned is not None:
            loop.add_reader(orphaned.fileno(), self._orphaned, loop, orphaned)
        try:
            yield
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)
            # The usual answer to SIGHUP is to die, and the parts are still to be closed.
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            for task in self._reloading:
                task.cancel()
            if orphaned is not None:
                loop.remove_reader(orphaned.fileno())

    def stop(self) -> None:
        """Begin to end; told a second time, end at once."""
        if self._running.draining:
            self.force_exit = self.should_exit = True
            self._running.drain_until = time.monotonic()
            return
        self._running.draining = True
        _log.info("stopping: requests in hand may go on for %g s", self._settings.drain_s)
        asyncio.get_running_loop().call_later(self._settings.drain_delay_s, self._stop_accepting)

    def _stop_accepting(self) -> None:
        self.should_exit = True

    def _orphaned(self, loop: asyncio.AbstractEventLoop, orphaned: Any) -> None:
        loop.remove_reader(orphaned.fileno())
        _log.error("the supervisor is gone: this worker stops")
        if not self._running.draining:
            self.stop()

    def _reload(self, reload: Callable[[], Any]) -> None:
        if self._running.draining:
            return
        task = asyncio.get_running_loop().create_task(reload())
        self._reloading.add(task)
        task.add_done_callback(self._reloading.discard)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_listening()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, let requests end, and tell those that do not that they are cut off."""
        self._running.draining = True
        if not self.force_exit:
            self._running.drain_until = time.monotonic() + self._settings.drain_s
        for server in self.servers:
            server.close()
        for sock in sockets or []:
            sock.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await self._ended(self._settings.drain_s)
        self.cut = len(self.server_state.tasks)
        if self.cut:
            _log.warning("%d requests are cut off", self.cut)
            for task in list(self.server_state.tasks):
                task.cancel("the server is shutting down")
            self.force_exit = False
            await self._ended(_CUT_S)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await self.lifespan.shutdown()

    async def _ended(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        state = self.server_state
        # uvicorn tells nobody when a connection or a task ends.
        while (state.connections or state.tasks) and loop.time() < until and not self.force_exit:  # noqa: ASYNC110
            await asyncio.sleep(_TICK_S)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop
