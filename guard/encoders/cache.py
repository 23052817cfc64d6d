"""What was made from a model, kept for the next start: a few files and a card with their checksums.

A reader holds no lock. It takes what it read only where every checksum agrees, so a file cut off by a crash, changed by
hand or half replaced by another process is found out and made anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guard import whole_file

_CARD = "card.json"
_PATIENCE = 600
"""Seconds to wait for another process that makes the same files; after it they are made here too."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Made:
    """Files by name, and what is known of them."""

    card: Mapping[str, Any]
    files: Mapping[str, bytes]


def kept(
    folder: Path, form: str, make: Callable[[], Made], *, stale: Callable[[Mapping[str, Any]], bool] | None = None
) -> Made:
    """What lies in the folder; made and put there where it is missing, damaged or of another form.

    Args:
        folder: one for each thing made.
        form: of the files, with a version; another one counts as missing.
        make: called by one process at a time.
        stale: says of a card that what it stands for is to be made anew.

    Raises:
        Exception: what `make` raises. A folder that cannot be written is no error: it costs the time at each start.
    """

    def read() -> Made | None:
        found = _read(folder, form)
        return None if found and stale and stale(found.card) else found

    found = read()
    if found is None:
        with _alone(folder):
            found = read()
            if found is None:
                found = make()
                write(folder, form, found)
    return found


def write(folder: Path, form: str, made: Made) -> None:
    """Put files into the folder, the card last."""
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in made.files.items()}
    card = json.dumps({**made.card, "form": form, "files": sums}, indent=1, ensure_ascii=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in [*made.files.items(), (_CARD, card.encode())]:
            whole_file.write(folder / name, data)
    except OSError as error:
        _log.warning("`%s` cannot be written (%s): it is made again at each start", folder, error)


def folder_of(cache: Path, kind: str, identity: str) -> Path:
    """Where what is made of an encoder lies: readable, and one for each identity whatever letters it has."""
    digest = hashlib.blake2b(identity.encode(), digest_size=6).hexdigest()
    return cache / f"{re.sub(r'[^A-Za-z0-9.-]+', '-', identity)[-80:]}-{digest}" / kind


def _read(folder: Path, form: str) -> Made | None:
    try:
        card = json.loads((folder / _CARD).read_bytes())
        if card["form"] != form:
            return None
        files = {}
        for name, digest in card["files"].items():
            files[name] = (folder / name).read_bytes()
            if hashlib.sha256(files[name]).hexdigest() != digest:
                _log.warning("`%s` is damaged or was changed: it is made anew", folder / name)
                return None
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        _log.warning("`%s` cannot be read (%s): it is made anew", folder, error)
        return None
    return Made(card, files)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; without it where it cannot be had, since a file is replaced whole in any case."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder.parent / f"{folder.name}.lock")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=_PATIENCE)
    except (OSError, Timeout, NotImplementedError) as error:
        _log.warning("`%s` cannot be locked: %s", folder, error)
    try:
        yield
    finally:
        lock.release()
