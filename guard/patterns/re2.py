"""The engine where hyperscan has no wheel: RE2's own filter.

RE2 derives from each expression the plain words without which it cannot match; one automaton looks for the words of
all patterns at once. One automaton over the whole expressions (`re2.Set`) is no use here: gaps such as `.{0,40}`
multiply its states until it throws them away faster than it reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Any

from guard.patterns.base import Entry, options


class Re2Engine:
    """Names the entries whose words are all in the text. The filter is built at the first scan."""

    name = "re2"

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = entries
        self._filter: Any = None
        self._lock = Lock()

    def candidates(self, text: str) -> Sequence[int]:
        """See `Engine.candidates`."""
        if not self._entries:
            return ()
        found: Sequence[int] = (self._filter or self._build()).Match(text.encode("utf-8", "replace"), True) or ()
        return found

    def stream(self) -> None:
        """RE2 cannot go on from chunk to chunk."""
        return

    def _build(self) -> Any:
        import re2

        with self._lock:
            if self._filter is None:
                made, how = re2.Filter(), options()
                for entry in self._entries:
                    made.Add(entry.expression, how)
                made.Compile()
                self._filter = made
            return self._filter
