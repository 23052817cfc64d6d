"""Keeps decisions: into the journal at once, into the database behind the request."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from dataclasses import dataclass

import orjson

from server.audit.database import Database
from server.audit.drain import Drain
from server.audit.journal import Journal, JournalFull
from server.audit.row import encode
from server.audit.settings import AuditSettings
from server.audit.shadow import Compared
from server.audit.shadow import encode as encode_shadow
from server.parts import AuditFailed
from server.record import Record

_LOG = logging.getLogger("wardlaw.audit")

CLOSE_S = 10.0
"""Seconds that closing waits for the database."""
_TELL_AGAIN_S = 10.0
_REFUSING_S = 10.0


@dataclass(frozen=True, slots=True)
class AuditHealth:
    """How the audit of this worker fares."""

    waiting: int
    """Bytes in the journal that the database does not have yet."""
    lost: int
    """Decisions that could not be kept, where requests go on all the same."""
    set_aside: int
    """Rows that the database did not take."""
    fault: str
    """What the database fails with; empty while all is well."""
    refusing: str
    """Why a decision could not be kept, for the seconds after that; empty where all are kept."""


class Keeper:
    """The audit of one worker. `keep` belongs to one event loop."""

    def __init__(self, settings: AuditSettings, database: Database, journal: Journal) -> None:
        """Begin to drain; `open_audit` makes the parts."""
        self.database = database
        self._settings = settings
        self._journal = journal
        self._content = settings.content
        self._hash_key = settings.hash_key.get_secret_value().encode() if settings.hash_key else b""
        self._at_once = settings.write == "database"
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._syncing: asyncio.Task[None] | None = None
        self._synced = 0
        self._lost = 0
        self._refusing = ""
        self._refused_at = float("-inf")
        self._told_at = float("-inf")
        self._drain = Drain(
            journal,
            database,
            retention_days=settings.retention_days,
            at_once=self._at_once,
            on_drained=self._drained,
        )

    async def keep(self, record: Record) -> None:
        """Keep a record so that it survives kill -9 when this returns; a later one of the same decision replaces it.

        Raises:
            AuditFailed: it cannot be kept, and the settings say that the request fails then.
        """
        try:
            upto = self._journal.append(encode(record, self._content, self._hash_key))
            if self._settings.fsync:
                await self._sync(upto)
        except JournalFull:
            self._failed("the database is away and the journal is full")
        except OSError as error:
            self._failed(f"the journal cannot be written: {error.strerror or error}")
        except orjson.JSONEncodeError as error:
            self._failed(f"the record cannot be encoded: {error}")
        else:
            if self._at_once:
                await self._commit(upto)
            else:
                self._refusing = ""
                self._drain.wake()

    def keep_shadow(self, compared: Compared) -> bool:
        """Keep what a candidate said, if there is room to spare; whether it is kept.

        It never takes the second half of the journal's room, which is for decisions: requests fail without it.
        """
        try:
            payload = encode_shadow(compared)
            if self._journal.waiting + len(payload) > self._settings.journal_bytes // 2:
                return False
            self._journal.append(payload)
        except (JournalFull, OSError, orjson.JSONEncodeError):
            return False
        self._drain.wake()
        return True

    def health(self) -> AuditHealth:
        """How it fares."""
        # forgotten after a while: a worker that is sent no requests because of it would never learn that it is over
        recent = time.monotonic() - self._refused_at < _REFUSING_S
        return AuditHealth(
            self._journal.waiting,
            self._lost,
            self._drain.set_aside,
            self._drain.fault,
            self._refusing if recent else "",
        )

    async def close(self, deadline_s: float = CLOSE_S) -> None:
        """Bring what is left into the database, for so many seconds at most; what remains is drained by the next."""
        await asyncio.to_thread(self._drain.close, deadline_s)
        self._journal.close()

    async def _sync(self, upto: int) -> None:
        """Wait for the disk, together with all who wait."""
        while self._synced < upto:
            if self._syncing is None:
                self._syncing = asyncio.create_task(self._sync_all())
            await asyncio.shield(self._syncing)

    async def _sync_all(self) -> None:
        try:
            upto = self._journal.appended
            await asyncio.to_thread(self._journal.sync)
            self._synced = upto
        finally:
            self._syncing = None

    async def _commit(self, upto: int) -> None:
        """Wait for the database."""
        self._loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiters.append((upto, future))
        self._drain.wake()
        since = self._drain.failing_since
        known = since is not None and time.monotonic() - since > self._settings.commit_s
        try:
            # a database that is known to be away is not waited for by every request anew
            async with asyncio.timeout(0 if known else self._settings.commit_s):
                await future
        except TimeoutError:
            self._failed(f"the database did not take it in time: {self._drain.fault or 'it is slow'}")
        else:
            self._refusing = ""

    def _drained(self) -> None:
        """From the thread: someone may go on."""
        if self._waiters and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        drained = self._journal.drained
        while self._waiters and self._waiters[0][0] <= drained:
            _, future = self._waiters.popleft()
            if not future.done():
                future.set_result(None)

    def _failed(self, what: str) -> None:
        self._refusing, self._refused_at = what, time.monotonic()
        if self._settings.on_failure == "block":
            raise AuditFailed(
                f"the decision cannot be kept: {what}",
                "bring the database back or make room; `audit.on_failure: allow` lets requests go on without",
            )
        self._lost += 1
        now = time.monotonic()
        if now - self._told_at >= _TELL_AGAIN_S:
            self._told_at = now
            _LOG.error("a decision is not kept, %d so far: %s", self._lost, what)
