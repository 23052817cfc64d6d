"""A folder held for one run, so that a second one does not write into it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rules.errors import WardlawError

LOCK_FILE = ".lock"
"""Beside what is written; a process that ends, however, lets go of it."""


@contextmanager
def held(folder: Path, fault: type[WardlawError]) -> Iterator[None]:
    """Hold `folder` until the block ends; made if it is not there.

    Args:
        folder: the output folder.
        fault: what is raised.

    Raises:
        WardlawError: of the kind `fault`: another run holds it, or it cannot be made.
    """
    import filelock

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / LOCK_FILE, timeout=0)
        lock.acquire()
    except filelock.Timeout:
        raise fault(
            f"another run is at work in `{folder}`", "wait for it to end, or give this one another --out folder"
        ) from None
    except OSError as error:
        raise fault(
            f"`{folder}` cannot be written: {error.strerror or error}", "choose another --out folder"
        ) from error
    try:
        yield
    finally:
        lock.release()
