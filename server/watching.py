"""Watching the rule files: a change, however it is made, leads to one reload."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path

from rules.files import PACKS

_log = logging.getLogger(__name__)

_RULES = (".yaml", ".yml")
_AGAIN_S = 2.0
"""Seconds until a folder that went away is looked for again."""


def folders(named: Iterable[str], read: Iterable[str]) -> set[Path]:
    """The folders whose changes can change what is loaded.

    Args:
        named: files and folders as they are named, links not followed: an editor replaces a file, and Kubernetes the
            link `..data` beside it, and only their own folder sees that.
        read: the files that were read, links followed.
    """
    found = {Path(file).parent for file in read}
    for name in named:
        path = Path(name).absolute()
        found.add(path if path.is_dir() else path.parent)
    return {folder for folder in found if folder.is_dir() and folder != PACKS}


class Watching:
    """Calls a function when a rule file may have changed."""

    def __init__(
        self,
        named: Iterable[str],
        read: Callable[[], Iterable[str]],
        changed: Callable[[], Awaitable[object]],
        *,
        settle_ms: int = 300,
    ) -> None:
        """A watch that `run` keeps.

        Args:
            named: the sources, packs' names left out.
            read: the files that were read last.
            changed: called after each change; it may be called where nothing of weight has changed.
            settle_ms: see `server.settings.ReloadSettings`.
        """
        self._named = tuple(named)
        self._read = read
        self._changed = changed
        self._settle_ms = settle_ms

    async def run(self) -> None:
        """Watch until it is cancelled."""
        missed = False
        while True:
            watched = _marks(folders(self._named, self._read()))
            if missed:  # something may have changed while nothing was watched
                await self._changed()
            missed = True
            if not watched:
                await asyncio.sleep(_AGAIN_S)
                continue
            try:
                await self._watch(watched)
            except FileNotFoundError:
                await asyncio.sleep(_AGAIN_S)
            except OSError as error:  # as when there are no more watches to be had
                _log.error("rule files are not watched (%s); reload by SIGHUP or `POST /admin/reload`", error)
                return

    async def _watch(self, watched: set[tuple[Path, int]]) -> None:
        """Watch some folders, until others are to be watched."""
        from watchfiles import awatch

        stop = asyncio.Event()
        async for changes in awatch(
            *(folder for folder, _ in watched),
            watch_filter=_may_matter,
            debounce=max(1600, self._settle_ms),
            step=self._settle_ms,
            recursive=False,
            stop_event=stop,
            rust_timeout=1000,
            yield_on_timeout=True,
        ):
            if changes:
                await self._changed()
            # What is read may have moved: `..data` points to another folder, a file extends another one, a folder was
            # deleted and made again.
            if _marks(folders(self._named, self._read())) != watched:
                stop.set()


def _marks(found: Iterable[Path]) -> set[tuple[Path, int]]:
    """Folders with what tells one from another that takes its place; those that are gone are left out."""
    marks = set()
    for folder in found:
        with suppress(OSError):
            marks.add((folder, folder.stat().st_ino))
    return marks


def _may_matter(_change: object, path: str) -> bool:
    name = Path(path).name
    # `..data` and its like: how Kubernetes swaps all files of a mounted map at once
    return name.endswith(_RULES) or name.startswith("..")
