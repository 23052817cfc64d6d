"""Compiled databases on disk. A file that is not wholly what was written is made anew, never used.

The engine takes a serialised database at its word, so each file carries a digest of what it holds, stands under the
digest of all that it was made from, and must belong to the user who reads it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import tempfile
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

_MAGIC = b"wardlaw patterns 1\n"
_DIGEST = 32


def folder() -> Path:
    """Where compiled databases are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "wardlaw" / "patterns"


def digest(engine: str, pieces: Iterable[bytes]) -> str:
    """The name of a database: what it is made from, by which version of the engine, for which processor."""
    made = hashlib.blake2b(digest_size=_DIGEST)
    for piece in (engine.encode(), _processor().encode(), *pieces):
        made.update(len(piece).to_bytes(8, "little") + piece)
    return made.hexdigest()


def load(path: Path) -> bytes | None:
    """The database, or None where there is none that can be trusted."""
    try:
        with path.open("rb") as opened:
            if hasattr(os, "getuid") and os.fstat(opened.fileno()).st_uid != os.getuid():
                return None
            content = opened.read()
    except OSError:
        return None
    head = len(_MAGIC) + _DIGEST
    payload = content[head:]
    return payload if content[:head] == _MAGIC + _check(payload) else None


def save(path: Path, payload: bytes) -> None:
    """Keep a database; one that cannot be kept costs time at the next start, and nothing else."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as opened:
            opened.write(_MAGIC + _check(payload) + payload)
        Path(opened.name).replace(path)


def _check(payload: bytes) -> bytes:
    return hashlib.blake2b(payload, digest_size=_DIGEST).digest()


@lru_cache(maxsize=1)
def _processor() -> str:
    """The processor with its instruction sets: a database made for another may not run here."""
    what = f"{platform.system()} {platform.machine()} {platform.processor()}"
    with contextlib.suppress(OSError), Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as opened:
        flags = next((line for line in opened if line.startswith(("flags", "Features"))), "")
        what += " " + " ".join(sorted(flags.split()))
    return what
