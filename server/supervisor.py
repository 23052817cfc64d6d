"""Several workers under one parent, which binds the address, keeps them alive, and passes signals on.

The workers share the socket and nothing else. Each is a fresh process, not a fork: a fork would copy the threads' locks
in whatever state they are.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from rules.errors import WardlawError
from server.settings import ServerSettings
from server.telemetry.logs import set_up
from server.telemetry.metrics import FOLDER
from server.worker import Listening, work

_log = logging.getLogger(__name__)

_LIVED_S = 10.0
"""Seconds after which a worker counts as one that works, and its death as the first."""
_BACKOFF_S = 0.5
_LONGEST_BACKOFF_S = 30.0
_KILL_S = 15.0
"""Seconds beyond those for draining until a worker that does not end is killed."""


class WorkerFailed(WardlawError):
    """A worker could not open its parts."""


@dataclass(slots=True)
class _Worker:
    """One place for a worker."""

    process: Any = None
    pipe: Connection | None = None
    started: float = 0.0
    listened: bool = False
    deaths: int = 0
    """In a row, each soon after the start."""
    due: float = 0.0
    """When it is started again."""


class Supervisor:
    """Runs the workers."""

    def __init__(
        self, settings: ServerSettings, sock: socket.socket, on_listening: Callable[[Listening], None]
    ) -> None:
        """Args: sock: bound, not yet listening; on_listening: called once, when all workers take requests."""
        self._settings = settings
        self._sock = sock
        self._on_listening = on_listening
        self._context = multiprocessing.get_context("spawn")
        self._workers = [_Worker() for _ in range(settings.workers)]
        self._told = False
        self._stopping_since: float | None = None
        self._failed: WorkerFailed | None = None
        self._cut = False

    def run(self) -> int:
        """Run until told to stop.

        Returns:
            exit code: 0 where every worker ended well.

        Raises:
            WorkerFailed: a worker could not open its parts at the first start.
        """
        set_up(self._settings.log)
        with self._metrics_folder(), self._signals() as signals:
            for worker in self._workers:
                self._start(worker)
            while self._running():
                self._wait(signals)
                for number in _read(signals):
                    self._answer(number)
                self._listen()
                self._mourn()
                self._start_due()
                self._kill_late()
        if self._failed is not None:
            raise self._failed
        return 1 if self._cut else 0

    def _running(self) -> bool:
        if self._stopping_since is None:
            return True
        return any(worker.process is not None for worker in self._workers)

    def _start(self, worker: _Worker) -> None:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_main, args=(self._settings, self._sock, theirs), name="wardlaw-worker")
        process.start()
        theirs.close()
        worker.process, worker.pipe = process, ours
        worker.started, worker.listened = time.monotonic(), False

    def _wait(self, signals: socket.socket) -> None:
        """Until something happens: a signal, a word of a worker, its death, or a start that is due."""
        now = time.monotonic()
        due = [worker.due for worker in self._workers if worker.process is None]
        # Checked now and then even if nothing happens: a worker that hangs while it drains gives no sign.
        pause = min([1.0, *(max(0.0, each - now) for each in due)]) if self._stopping_since is None else 0.2
        wait([signals, *self._sentinels()], pause)

    def _sentinels(self) -> list[Any]:
        pipes = [worker.pipe for worker in self._workers if worker.pipe is not None]
        return pipes + [worker.process.sentinel for worker in self._workers if worker.process is not None]

    def _answer(self, number: int) -> None:
        if number == signal.SIGHUP:
            if self._stopping_since is not None:
                return
            # One that does not listen yet reads the new rules anyway, or has no handler yet.
            self._send(signal.SIGHUP, only_listening=True)
        elif number in (signal.SIGTERM, signal.SIGINT):
            if self._stopping_since is None:
                self._stop()
            else:
                self._send(signal.SIGTERM)

    def _stop(self) -> None:
        if self._stopping_since is None:
            self._stopping_since = time.monotonic()
            self._sock.close()
            self._send(signal.SIGTERM)

    def _send(self, number: int, *, only_listening: bool = False) -> None:
        for worker in self._workers:
            if worker.process is not None and (worker.listened or not only_listening):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker.process.pid, number)

    def _listen(self) -> None:
        """Hear what workers say of their start."""
        for worker in self._workers:
            while worker.pipe is not None and worker.pipe.poll():
                try:
                    said = worker.pipe.recv()
                except (EOFError, OSError):
                    worker.pipe.close()
                    worker.pipe = None
                    break
                if isinstance(said, Listening):
                    worker.listened = True
                    if not self._told and all(each.listened for each in self._workers):
                        self._told = True
                        self._on_listening(said)
                elif not self._told:
                    # At the first start, what one cannot open none can; later it may be a database that is away.
                    self._failed = self._failed or WorkerFailed(*said)
                    self._stop()
                else:
                    _log.error("a worker cannot start: %s", said[0])

    def _mourn(self) -> None:
        """Note the dead, and when each is to be started again."""
        for worker in self._workers:
            process = worker.process
            if process is None or process.is_alive():
                continue
            process.join()
            lived = time.monotonic() - worker.started
            _forget_gauges(process.pid)
            if worker.pipe is not None:
                worker.pipe.close()
            worker.process, worker.pipe = None, None
            if self._stopping_since is not None:
                self._cut = self._cut or process.exitcode != 0
                continue
            worker.deaths = 0 if lived > _LIVED_S else worker.deaths + 1
            pause = 0.0 if worker.deaths == 0 else min(_LONGEST_BACKOFF_S, _BACKOFF_S * 2 ** (worker.deaths - 1))
            worker.due = time.monotonic() + pause
            how = f"by signal {-process.exitcode}" if (process.exitcode or 0) < 0 else f"with code {process.exitcode}"
            _log.error("worker %d ended %s; another starts in %g s", process.pid, how, pause)
            if not self._told and not self._failed and worker.deaths > 3:
                self._failed = WorkerFailed("workers die before they listen", "the log above says more")
                self._stop()

    def _start_due(self) -> None:
        if self._stopping_since is None:
            for worker in self._workers:
                if worker.process is None and worker.due <= time.monotonic():
                    self._start(worker)

    def _kill_late(self) -> None:
        if self._stopping_since is None:
            return
        patience = self._settings.drain_delay_s + self._settings.drain_s + _KILL_S
        if time.monotonic() - self._stopping_since > patience:
            for worker in self._workers:
                if worker.process is not None:
                    _log.error("worker %d does not end and is killed", worker.process.pid)
                    worker.process.kill()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[socket.socket]:
        """A socket on which the numbers of signals arrive."""
        there, here = socket.socketpair()
        there.setblocking(False)
        here.setblocking(False)
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        before = {number: signal.signal(number, lambda *_: None) for number in numbers}
        old = signal.set_wakeup_fd(here.fileno())
        try:
            yield there
        finally:
            signal.set_wakeup_fd(old)
            for number, handler in before.items():
                signal.signal(number, handler)
            there.close()
            here.close()

    @contextlib.contextmanager
    def _metrics_folder(self) -> Iterator[None]:
        """A folder for the workers' metrics, which they find by their environment."""
        given = os.environ.get(FOLDER)
        folder = Path(given) if given else Path(tempfile.mkdtemp(prefix="wardlaw-metrics-"))
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob("*.db"):  # of a run before, whose process ids may come again
            left.unlink(missing_ok=True)
        os.environ[FOLDER] = str(folder)
        try:
            yield
        finally:
            if not given:
                del os.environ[FOLDER]
                shutil.rmtree(folder, ignore_errors=True)


def _main(settings: ServerSettings, sock: socket.socket, pipe: Connection) -> None:
    """A worker's whole life."""
    parent = os.getppid()
    # A terminal's Ctrl+C reaches all; the supervisor says what becomes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        code = work(settings, sock, on_listening=pipe.send, parent=parent, orphaned=pipe)
    except WardlawError as error:
        with contextlib.suppress(OSError):
            pipe.send((str(error), ""))
        raise SystemExit(2) from None
    raise SystemExit(code)


def _read(signals: socket.socket) -> list[int]:
    try:
        return list(signals.recv(64))
    except BlockingIOError:
        return []


def _forget_gauges(pid: int) -> None:
    """Drop the gauges of a dead worker; its counters go on to count."""
    folder = os.environ.get(FOLDER)
    if folder:
        for path in Path(folder).glob(f"gauge_live*_{pid}.db"):
            path.unlink(missing_ok=True)
