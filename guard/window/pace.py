"""When the next scan for meaning is due, and how far it goes."""

from __future__ import annotations

import re

from guard.window.settings import WindowSettings

_SENTENCE_END = re.compile(r"[.!?…][\"'”’)\]*_]*\s+|[。！？；…][”’」』）]*|\n+")
_SPACE = re.compile(r"\s")


class Pace:
    """Finds the borders of one channel's scans. Of n bytes it makes at most about 2 n / stride scans, and some at the
    beginning, where the first sentence is not to wait for a full stride."""

    def __init__(self, settings: WindowSettings) -> None:
        """The pace at a stream's beginning."""
        self._stride = settings.stride
        self._size = settings.first
        self._least = 1  # bytes before a sentence's end is worth a scan; at first any sentence is

    def cut(self, fresh: str) -> int:
        """How many characters of the text that has not been scanned are to be scanned now; 0: none yet."""
        size = len(fresh) if fresh.isascii() else len(fresh.encode("utf-8", "replace"))
        if size < self._least:
            return 0
        least = max(1, self._least * len(fresh) // size)
        end = 0
        for match in _SENTENCE_END.finditer(fresh, max(0, least - 2)):
            if match.end() >= least:
                end = match.end()
        if end:
            return end
        if size < self._size:
            return 0
        spaces = [match.end() for match in _SPACE.finditer(fresh, len(fresh) // 2)]
        return spaces[-1] if spaces else len(fresh)

    def step(self) -> None:
        """A scan has been made."""
        self._size = min(self._stride, 2 * self._size)
        self._least = self._size // 2
