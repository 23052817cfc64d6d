"""Things that are dear to hold twice, as a model's weights: made once, counted, let go with their last user."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Thing = TypeVar("Thing")


class Shared(Generic[Thing]):
    """A counted registry. Four roles played by one model hold its weights once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[Hashable, tuple[Thing, int]] = {}

    def take(self, key: Hashable, make: Callable[[], Thing]) -> Thing:
        """The thing of this key, made now if nobody holds it; two threads that want it wait for one making."""
        with self._lock:
            thing, users = self._held[key] if key in self._held else (make(), 0)
            self._held[key] = (thing, users + 1)
            return thing

    def give(self, key: Hashable) -> Thing | None:
        """Give back one holding; the thing itself if that was the last, for the caller to end."""
        with self._lock:
            thing, users = self._held.pop(key)
            if users == 1:
                return thing
            self._held[key] = (thing, users - 1)
            return None

    def __len__(self) -> int:
        return len(self._held)
