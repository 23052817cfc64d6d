"""The file of a ledger: read whole, appended to under a lock, mended without loss."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from guard.ledger.errors import Fault, LedgerError, LedgerFaults
from guard.ledger.events import Amended, Entered, Event, Replayed
from guard.ledger.lines import Written, is_conflict, line_of, read_line

ASIDE = ".torn"
"""Ending of the file beside a ledger that keeps what a killed process left half written."""

_PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Content:
    """What stands in a ledger."""

    path: Path
    written: tuple[Written, ...]
    """In the order of the lines; of lines that are the same, the first."""
    faults: tuple[Fault, ...] = ()
    torn: bytes = b""
    """What a killed process left of its last line."""

    @property
    def events(self) -> list[Event]:
        """The events alone.

        Raises:
            LedgerFaults: a line is not as it was written.
        """
        if self.faults:
            raise LedgerFaults(self.path, self.faults)
        return [each.event for each in self.written]


def read_ledger(path: Path) -> Content:
    """Read a ledger; what is wrong with lines stands in it.

    Raises:
        LedgerError: the file cannot be read.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        hint = "`wardlaw redteam add` begins one; name another with --ledger"
        raise LedgerError(f"no ledger `{path}`", hint) from None
    except OSError as error:
        raise LedgerError(
            f"`{path}` cannot be read: {error.strerror or error}", "name a ledger with --ledger"
        ) from None
    return content_of(path, data)


def content_of(path: Path, data: bytes) -> Content:
    """The content of a ledger's bytes."""
    written: list[Written] = []
    faults: list[Fault] = []
    seen: set[str] = set()
    lines = data.split(b"\n")
    last = lines.pop()
    torn = b""
    if last.strip():
        whole = read_line(len(lines) + 1, last.rstrip(b"\r"))
        if isinstance(whole, Written) or whole.kind == "conflict":
            lines.append(last)  # an editor took the line end away, and nothing else
        else:
            torn = last
    for number, raw in enumerate(lines, 1):
        line = raw.rstrip(b"\r")  # git may be told to write lines of Windows
        if not line.strip():
            continue
        found = read_line(number, line)
        if isinstance(found, Fault):
            faults.append(found)
        elif found.sum not in seen:  # two branches may have taken over the same line
            seen.add(found.sum)
            written.append(found)
    faults += _stray(written) if not faults else ()
    return Content(path, tuple(written), tuple(sorted(faults, key=lambda fault: fault.line)), torn)


def _stray(written: Sequence[Written]) -> Iterator[Fault]:
    """Events about finds that are not there."""
    known = {each.event.find.id for each in written if isinstance(each.event, Entered)}
    for each in written:
        event = each.event
        names: tuple[str, ...] = ()
        if isinstance(event, Amended):
            names = (event.id,)
        elif isinstance(event, Replayed):
            names = (*event.holds, *event.breaks, *event.unsure, *event.failed)
        if gone := [name for name in names if name not in known]:
            what = f"it speaks of `{gone[0]}`, and no line has that find"
            yield Fault(each.line, "stray", what, "a line was taken out: put it back from git")


def append(path: Path, events: Iterable[Event]) -> str:
    """Write events behind the last line; all of them are on the disk when this returns.

    A half line that a killed process left is put aside into a file beside it first.

    Returns:
        what was put aside, in words; empty where nothing was.

    Raises:
        LedgerError: the file cannot be written, or another process keeps it locked.
    """
    return append_new(path, lambda _: list(events))


def append_new(path: Path, make: Callable[[Content], Sequence[Event]]) -> str:
    """As `append`, with events that are made of what stands there: nobody else can write in between.

    Args:
        path: of the ledger; made if it is not there.
        make: what stands there -> what is to be written; may raise.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path) as fd:
            data = _read(fd)
            content = content_of(path, data)
            events = make(content)
            if not events:
                return ""
            note, end, lead = _whole_end(path, fd, content, data)
            _write(fd, end, lead + b"".join(line_of(event) for event in events))
            return note
    except OSError as error:
        what = f"`{path}` cannot be written: {error.strerror or error}"
        raise LedgerError(
            what, "see that you may write there, and that the disk has room; nothing was entered"
        ) from None


def _whole_end(path: Path, fd: int, content: Content, data: bytes) -> tuple[str, int, bytes]:
    """Where to write: behind the last whole line; with what was put aside, in words, and a line end that lacks."""
    if not content.torn:
        return "", len(data), b"" if data.endswith(b"\n") or not data else b"\n"
    _put_aside(path, content.torn)
    end = len(data) - len(content.torn)
    os.ftruncate(fd, end)
    note = f"a half line that a killed process left was put aside into `{path.name}{ASIDE}`"
    return note, end, b""


def mend(path: Path) -> list[str]:
    """Take out what is not part of any event: conflict markers of git, lines written twice, a half line at the end
    (which is put aside). Lines that were edited stay as they are.

    Returns:
        what was done, in words.

    Raises:
        LedgerError: the file cannot be read or written.
    """
    done: list[str] = []
    read_ledger(path)  # one that is not there must not be made
    try:
        with _locked(path) as fd:
            data = _read(fd)
            content = content_of(path, data)
            if content.torn:
                _put_aside(path, content.torn)
                data = data[: len(data) - len(content.torn)]
                done.append(f"the half line at the end was put aside into `{path.name}{ASIDE}`")
            kept: dict[bytes, None] = {}
            marks = twice = 0
            for line in data.split(b"\n"):
                bare = line.rstrip(b"\r")
                if is_conflict(bare):
                    marks += 1
                elif bare in kept:
                    twice += 1
                elif bare.strip():
                    kept[bare] = None
            if marks:
                done.append(f"{marks} conflict markers taken out, both sides kept")
            if twice:
                done.append(f"{twice} lines that stood there twice kept once")
            if done:
                whole = b"".join(line + b"\n" for line in kept)
                beside = path.with_name(f".{path.name}.mending")
                beside.write_bytes(whole)
                with beside.open("rb") as file:
                    os.fsync(file.fileno())
                beside.chmod(os.fstat(fd).st_mode & 0o777)
                beside.replace(path)
    except OSError as error:
        raise LedgerError(f"`{path}` cannot be mended: {error.strerror or error}", "it is as it was") from None
    return done


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[int]:
    """The file, opened and locked for this process alone; the lock goes with the process that has it."""
    until = time.monotonic() + _PATIENCE_S
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    what = f"another process has kept `{path}` locked for {_PATIENCE_S:.0f} s"
                    raise LedgerError(what, "wait for it to end; nothing was entered") from None
                time.sleep(0.02)
                continue
            if not _is_still(path, fd):  # mended meanwhile: another file has its name now
                continue
            yield fd
            return
        finally:
            os.close(fd)


def _is_still(path: Path, fd: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(fd))
    except FileNotFoundError:
        return False


def _read(fd: int) -> bytes:
    with os.fdopen(os.dup(fd), "rb") as file:
        file.seek(0)
        return file.read()


def _write(fd: int, end: int, data: bytes) -> None:
    """Write behind `end`; on a full disk, the file is as it was."""
    try:
        os.lseek(fd, end, os.SEEK_SET)
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.fsync(fd)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(fd, end)
        raise


def _put_aside(path: Path, torn: bytes) -> None:
    with path.with_name(path.name + ASIDE).open("ab") as file:
        file.write(torn + b"\n")
        file.flush()
        os.fsync(file.fileno())
