"""The thread that empties journals into the database, and looks after what is old."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from server.audit.database import Database
from server.audit.errors import AuditError
from server.audit.journal import Journal, forget, left_behind, segments
from server.audit.lines import read_lines
from server.audit.retention import STEP, end_lost_streams, prune_some
from server.audit.writer import Writer

_LOG = logging.getLogger("wardlaw.audit")

BATCH = 500
"""Rows of one transaction."""
GATHER_S = 0.2
"""How long lines gather before they are written."""
LOOK_S = 30.0
"""Between two looks for journals of dead workers."""
KEEP_HOUSE_S = 3600.0
_LONGEST_WAIT_S = 5.0
_TELL_AGAIN_S = 60.0


def adopt(folder: Path, writer: Writer, between: Callable[[], None] = lambda: None) -> int:
    """Drain the journals of dead workers, and say which of their streams have no end.

    Args:
        folder: of journals.
        writer: to the database.
        between: called after each batch: what a dead worker left may be long, and the living should not wait for it.

    Returns:
        how many journals were drained.

    Raises:
        AuditError: the database cannot be used; what is not drained stays.
        OSError: a journal cannot be read.
    """
    with left_behind(folder) as names:
        for name in names:
            lines = 0
            for path in segments(folder, name):
                lines += _drain_file(path, writer, name, between)
                path.unlink()
            writer.cut(name)
            forget(folder, name)
            if lines:
                _LOG.info("the journal `%s` of a worker that ended early is drained: %d lines", name, lines)
    return len(names)


def _drain_file(path: Path, writer: Writer, owner: str, between: Callable[[], None]) -> int:
    size, at, lines = path.stat().st_size, 0, 0
    while at < size:
        read = read_lines(path, at, size, BATCH)
        writer.write(read.payloads, read.broken, owner)
        lines += len(read.payloads)
        at = read.upto
        between()
        if read.torn:
            _LOG.warning("`%s` ends in a line that is not whole; no one was told that it is kept", path)
            break
    return lines


class Drain:
    """Drains this worker's journal, and now and then those of dead ones. Its thread outlives every fault."""

    def __init__(
        self,
        journal: Journal,
        database: Database,
        *,
        retention_days: float | None,
        at_once: bool,
        on_drained: Callable[[], None],
    ) -> None:
        """Start the thread.

        Args:
            journal: of this worker.
            database: closed with the thread.
            retention_days: age at which decisions are deleted.
            at_once: write lines as they come, since someone waits for each.
            on_drained: called from the thread after each batch.
        """
        self._journal = journal
        self._database = database
        self._writer = Writer(database, journal.folder)
        self._retention_days = retention_days
        self._gather_s = 0.0 if at_once else GATHER_S
        self._on_drained = on_drained
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._give_up = float("inf")
        self._look_at = 0.0
        self._keep_house_at = time.monotonic() + 60
        self._told_at = float("-inf")
        self.fault = ""
        """What the database, or the disk, fails with; empty while all is well."""
        self.failing_since: float | None = None
        """By the monotonic clock."""
        self._thread = threading.Thread(target=self._run, name="wardlaw-audit", daemon=True)
        self._thread.start()

    @property
    def set_aside(self) -> int:
        """Rows that the database did not take."""
        return self._writer.set_aside

    def wake(self) -> None:
        """Say that there is something to drain."""
        if not self._wake.is_set():
            self._wake.set()

    def close(self, deadline_s: float) -> None:
        """Drain what is left, for so many seconds at most, and end. Blocks."""
        self._give_up = time.monotonic() + deadline_s
        self._closing.set()
        self._wake.set()
        self._thread.join(deadline_s + 1)

    def _run(self) -> None:
        pause = 0.0
        while True:
            try:
                self._work()
                ended = self._closing.is_set() and not self._journal.waiting
                if ended:
                    self._writer.cut(self._journal.name)
                pause = 0.0
                self._well()
                if ended:
                    break
            except Exception as error:
                # whatever it is: a thread that ended would let the journal grow in silence
                pause = min(max(0.1, 2 * pause), _LONGEST_WAIT_S)
                self._ill(error)
            if time.monotonic() >= self._give_up:
                break
            self._rest(pause)
        self._database.close()

    def _rest(self, pause: float) -> None:
        if pause:
            self._closing.wait(pause)
            if self._closing.is_set():
                time.sleep(min(pause, 0.1))
            return
        self._wake.wait(max(0.0, min(self._look_at, self._keep_house_at) - time.monotonic()))
        if self._gather_s:
            self._closing.wait(self._gather_s)
        self._wake.clear()

    def _work(self) -> None:
        self._drain_own()
        now = time.monotonic()
        if now >= self._look_at and not self._closing.is_set():
            self._look_at = now + LOOK_S
            adopt(self._journal.folder, self._writer, self._drain_own)
        if now >= self._keep_house_at and not self._closing.is_set():
            self._keep_house_at = now + (0.5 if self._keep_house() else KEEP_HOUSE_S)

    def _drain_own(self) -> None:
        while (segment := self._journal.next()) is not None and time.monotonic() < self._give_up:
            read = read_lines(segment.path, segment.read, segment.size, BATCH)
            if read.upto == segment.read:
                raise OSError(f"`{segment.path}` is shorter than what was written to it")
            self._writer.write(read.payloads, read.broken, self._journal.name)
            self._journal.done(segment, read.upto)
            self._on_drained()

    def _keep_house(self) -> bool:
        """Delete some of what is too old; whether there may be more."""
        end_lost_streams(self._database)
        if self._retention_days is None:
            return False
        return prune_some(self._database, time.time() - 86400 * self._retention_days) == STEP

    def _well(self) -> None:
        if self.fault:
            _LOG.info("the audit's database is back")
        self.fault, self.failing_since, self._told_at = "", None, float("-inf")

    def _ill(self, error: Exception) -> None:
        now = time.monotonic()
        self.failing_since = self.failing_since or now
        self.fault = error.what if isinstance(error, AuditError) else f"{type(error).__name__}: {error}"
        if now - self._told_at >= _TELL_AGAIN_S:
            self._told_at = now
            with contextlib.suppress(Exception):
                expected = isinstance(error, AuditError | OSError)
                _LOG.error("decisions wait in the journal: %s", self.fault, exc_info=None if expected else error)
