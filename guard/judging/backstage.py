"""An event loop in a thread of its own, on which one model is asked, whoever wants to know.

Callers come from worker threads and from several event loops; a model's connections belong to one. With all asking on
one loop, budget, breaker and memory need no locks.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Backstage:
    """Runs coroutines on a loop of its own. The thread starts with the first of them."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Begin `work`; cancelling the future cancels it.

        Raises:
            RuntimeError: it was closed.
        """
        with self._lock:
            if self._closed:
                work.close()
                raise RuntimeError(f"the {self._name} is closed")
            if self._loop is None:
                self._start()
            # within the lock: a loop that closes meanwhile would never run it
            return asyncio.run_coroutine_threadsafe(work, _known(self._loop))

    def close(self, last: Coroutine[Any, Any, None]) -> None:
        """Run `last`, cancel what else runs, and end the thread. May be called twice; then `last` is not run."""
        with self._lock:
            if self._closed:
                last.close()
                return
            if self._loop is None:
                self._start()
            self._closed = True
            loop, stop, thread = _known(self._loop), self._stop, self._thread
        try:
            asyncio.run_coroutine_threadsafe(last, loop).result()
        finally:
            if stop is not None and thread is not None:
                loop.call_soon_threadsafe(stop.set)
                thread.join()

    def _start(self) -> None:
        started = threading.Event()

        async def stay() -> None:
            self._loop = asyncio.get_running_loop()
            self._stop = asyncio.Event()
            started.set()
            await self._stop.wait()

        # a daemon: a program that forgets to close its gate must still end
        self._thread = threading.Thread(target=lambda: asyncio.run(stay()), name=f"wardlaw-{self._name}", daemon=True)
        self._thread.start()
        started.wait()


def _known(loop: asyncio.AbstractEventLoop | None) -> asyncio.AbstractEventLoop:
    if loop is None:
        raise RuntimeError("the loop did not start")
    return loop
