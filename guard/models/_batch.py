"""Batches of like length: calls that wait at the same time are run together, in one worker thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

In = TypeVar("In")
Out = TypeVar("Out")


class LengthBatcher(Generic[In, Out]):
    """Gathers items into batches, neighbours in length first, and runs one batch after another.

    The oldest item is always in the next batch, so none waits for ever for company of its length. Items may come from
    several event loops and threads.
    """

    def __init__(
        self, run: Callable[[Sequence[In]], Sequence[Out]], length: Callable[[In], int], *, size: int, wait: float
    ) -> None:
        """Make a batcher.

        Args:
            run: items, shortest first, to as many results; called in the worker thread, one batch at a time.
            length: what an item takes, in the unit in which a batch is padded.
            size: the most items in a batch.
            wait: seconds without a new item after which a batch that is not full runs all the same.
        """
        self._run = run
        self._length = length
        self._size = size
        self._wait = wait
        self._waiting: list[tuple[In, Future[Out]]] = []
        self._changed = threading.Condition()
        self._draining = False
        self._closed = False
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="batches")

    def submit(self, item: In) -> Future[Out]:
        """Queue one item. A future cancelled before its batch starts costs nothing; one that runs cannot be.

        Raises:
            RuntimeError: the batcher is closed.
        """
        future: Future[Out] = Future()
        with self._changed:
            if self._closed:
                raise RuntimeError("the batcher is closed")
            self._waiting.append((item, future))
            self._changed.notify()
            if not self._draining:
                self._draining = True
                self._worker.submit(self._drain)
        return future

    def close(self) -> None:
        """Cancel what waits, let the running batch end, and end the thread."""
        with self._changed:
            self._closed = True
            for _, future in self._waiting:
                future.cancel()
            self._changed.notify()
        self._worker.shutdown(wait=True)

    def _drain(self) -> None:
        while batch := self._next():
            items = [item for item, _ in batch]
            try:
                results = self._run(items)
            except BaseException as error:  # whatever it was, the callers must hear of it or they wait for ever
                for _, future in batch:
                    future.set_exception(error)
                continue
            for (_, future), result in zip(batch, results, strict=True):
                future.set_result(result)

    def _next(self) -> list[tuple[In, Future[Out]]]:
        with self._changed:
            self._gather()
            self._waiting = [(item, future) for item, future in self._waiting if not future.cancelled()]
            if not self._waiting:
                self._draining = False
                return []
            oldest = self._length(self._waiting[0][0])
            near = sorted(self._waiting, key=lambda entry: abs(self._length(entry[0]) - oldest))[: self._size]
            taken = {id(future) for _, future in near}
            self._waiting = [entry for entry in self._waiting if id(entry[1]) not in taken]
        started = [entry for entry in near if entry[1].set_running_or_notify_cancel()]
        return sorted(started, key=lambda entry: self._length(entry[0])) or self._next()

    def _gather(self) -> None:
        """Wait while items still come in; the lock is held on entry and on return."""
        seen = -1
        while seen != len(self._waiting) < self._size and not self._closed:
            seen = len(self._waiting)
            self._changed.wait(self._wait)
