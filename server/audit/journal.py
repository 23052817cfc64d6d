"""The journal of one worker: an append-only log in segments, which outlives its writer.

A folder holds the journals of many workers. A journal is a lock file, held while its worker lives, and segments:

    NAME.lock   NAME.00000000.segment   NAME.00000001.segment ...

One write(2) puts a whole line there, so a killed process loses nothing that was appended, and leaves at most a last
line that is torn, whose writer was never told that it is kept.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from server.audit.errors import AuditError
from server.audit.lines import line_of
from server.disk import sync_folder

if TYPE_CHECKING:
    from filelock import BaseFileLock

SEGMENT_BYTES = 4 * 2**20
"""A segment is closed beyond this: what is read again after a kill, at most."""

_FOLDER_LOCK = ".journals.lock"


@dataclass(slots=True)
class Segment:
    """A file of a journal."""

    path: Path
    size: int
    """Bytes of whole lines in it."""
    read: int = 0
    """Bytes that have been drained."""


class JournalFull(Exception):
    """The journal has reached its limit."""


class Journal:
    """The journal that this worker appends to. One thread appends, another takes lines out."""

    def __init__(self, folder: Path, worker: str, limit: int, *, fsync: bool = False) -> None:
        """Begin a journal; its name is used by no other, so that what a dead worker left is told from it.

        Args:
            folder: of all journals; made where it is not there.
            worker: what the name begins with.
            limit: bytes that may wait to be drained.
            fsync: whether `sync` is to hold for segments that are closed too.

        Raises:
            AuditError: the folder cannot be written.
        """
        self.folder = folder
        self.name = f"{_fit(worker)}-{secrets.token_hex(6)}"
        self.limit = limit
        self.appended = 0
        """Bytes appended since the start."""
        self.drained = 0
        """Bytes drained since the start."""
        self._fsync = fsync
        self._segment_bytes = min(SEGMENT_BYTES, limit)
        self._segments: deque[Segment] = deque()
        self._fd = -1
        self._made = 0
        self._spoilt = False
        self._guard = threading.Lock()
        try:
            make_folder(folder)
            with folder_lock(folder):
                self._lock = owner_lock(folder, self.name)
                self._lock.acquire(timeout=0)
            self._rotate()
        except OSError as error:
            raise AuditError(
                f"cannot write the journal in `{folder}`: {error.strerror or error}",
                "give the server a folder that it can write, with room",
            ) from error

    @property
    def waiting(self) -> int:
        """Bytes that are not drained yet."""
        return self.appended - self.drained

    def append(self, payload: bytes) -> int:
        """Put a line at the end.

        Args:
            payload: without a line end.

        Returns:
            what `drained` will have reached when the line is drained.

        Raises:
            JournalFull: more would wait than may.
            OSError: the disk is full, or gone. The journal is as it was before.
        """
        line = line_of(payload)
        with self._guard:
            if self.appended - self.drained + len(line) > self.limit:
                raise JournalFull
            if self._fd < 0:
                raise OSError(errno.EBADF, "the journal is closed")
            last = self._segments[-1]
            if self._spoilt or last.size >= self._segment_bytes:
                last = self._rotate()
            self._write(line, last)
            last.size += len(line)
            self.appended += len(line)
            return self.appended

    def sync(self) -> None:
        """Wait until the disk has all that was appended so far."""
        with self._guard:
            fd = os.dup(self._fd)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def next(self) -> Segment | None:
        """The oldest segment with lines that are not drained yet."""
        with self._guard:
            return next((each for each in self._segments if each.read < each.size), None)

    def done(self, segment: Segment, upto: int) -> None:
        """Lines of a segment are in the database: up to this byte. A segment that is closed and empty is deleted."""
        with self._guard:
            self.drained += upto - segment.read
            segment.read = upto
            while len(self._segments) > 1 and self._segments[0].read >= self._segments[0].size:
                self._segments.popleft().path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the journal; its files go where all of it is drained, else whoever comes next drains them."""
        with self._guard:
            if self._fd < 0:
                return
            os.close(self._fd)
            self._fd = -1
            if self.appended == self.drained:
                for segment in self._segments:
                    segment.path.unlink(missing_ok=True)
                lock_path(self.folder, self.name).unlink(missing_ok=True)
        self._lock.release()

    def _write(self, line: bytes, segment: Segment) -> None:
        try:
            written = os.write(self._fd, line)
            while written < len(line):  # only a disk that is filling up takes a part; the next call says why
                written += os.write(self._fd, line[written:])
        except OSError:
            # else the next line would stand behind half of this one, and both would be lost
            try:
                os.ftruncate(self._fd, segment.size)
            except OSError:
                self._spoilt = True
            raise

    def _rotate(self) -> Segment:
        path = self.folder / f"{self.name}.{self._made:08d}.segment"
        fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o600)
        if self._fd >= 0:
            if self._fsync:
                os.fsync(self._fd)
            os.close(self._fd)
        if self._fsync:
            sync_folder(self.folder)  # else the file might have its lines and no name after a power cut
        self._fd = fd
        self._spoilt = False
        self._made += 1
        segment = Segment(path, 0)
        self._segments.append(segment)
        return segment


@contextlib.contextmanager
def left_behind(folder: Path) -> Iterator[list[str]]:
    """Names of the journals whose owners are dead, which are held until the block ends: no one else drains them."""
    from filelock import Timeout

    held: list[tuple[str, BaseFileLock]] = []
    if not folder.is_dir():
        yield []
        return
    try:
        with folder_lock(folder):
            for path in sorted(folder.glob("*.lock")):
                if path.name != _FOLDER_LOCK:
                    lock = owner_lock(folder, path.name.removesuffix(".lock"))
                    with contextlib.suppress(Timeout):
                        lock.acquire(timeout=0)
                        held.append((path.name.removesuffix(".lock"), lock))
        yield [name for name, _ in held]
    finally:
        for _, lock in held:
            lock.release()


def segments(folder: Path, name: str) -> list[Path]:
    """The segments of a journal, oldest first."""
    return sorted(path for path in folder.glob("*.segment") if path.name.rsplit(".", 2)[0] == name)


def forget(folder: Path, name: str) -> None:
    """Remove the lock file of a journal that is drained; only for who holds it."""
    lock_path(folder, name).unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make the folder of journals, for this user's eyes only."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def lock_path(folder: Path, name: str) -> Path:
    """The lock file of a journal."""
    return folder / f"{name}.lock"


def folder_lock(folder: Path) -> BaseFileLock:
    """Held while journals are begun or looked through: a lock file is never seen before it is held."""
    from filelock import FileLock

    return FileLock(folder / _FOLDER_LOCK, timeout=30)


def owner_lock(folder: Path, name: str) -> BaseFileLock:
    """The lock of a journal, which may be let go of by another thread than the one that took it."""
    from filelock import FileLock

    return FileLock(lock_path(folder, name), thread_local=False)


def _fit(worker: str) -> str:
    """A worker's name as a part of a file's name."""
    return "".join(char if char.isascii() and (char.isalnum() or char in "-_") else "_" for char in worker)[:60] or "w"
