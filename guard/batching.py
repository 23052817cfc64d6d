"""Micro-batches: callers that wait at the same time share one run of the model."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Generic, TypeVar

In = TypeVar("In")
Out = TypeVar("Out")

_FIRST_S = 0.005
"""Seconds an item is taken to need before any batch has told: a short text on one core, roughly."""


class Batcher(Generic[In, Out]):
    """Runs a synchronous batch function in a worker thread for many concurrent callers of one event loop.

    There is no timer: the first caller starts a run at once, and all who come while it runs form the next batch. A lone
    caller waits for nobody; under load the batches grow by themselves.
    """

    def __init__(self, run: Callable[[Sequence[In]], Sequence[Out]], executor: Executor, limit: int) -> None:
        """Batch calls of `run`, which maps inputs to as many outputs, at most `limit` at once."""
        self._run = run
        self._executor = executor
        self._limit = limit
        self._waiting: deque[tuple[In, asyncio.Future[Out]]] = deque()
        self._drain: asyncio.Task[None] | None = None
        self._running = 0
        self._item_s = _FIRST_S

    @property
    def wait_s(self) -> float:
        """Seconds that one who asks now would wait for those before it, by what the last batches took."""
        return (len(self._waiting) + self._running) * self._item_s

    async def ask(self, item: In) -> Out:
        """The output for one input.

        Raises:
            Exception: what `run` raised for the batch that this input was in.
        """
        future: asyncio.Future[Out] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._drain is None or self._drain.done():
            self._drain = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch: list[tuple[In, asyncio.Future[Out]]] = []
            while self._waiting and len(batch) < self._limit:
                item, future = self._waiting.popleft()
                # Whoever was cancelled while waiting costs the model nothing.
                if not future.done():
                    batch.append((item, future))
            if not batch:
                return
            began = loop.time()
            self._running = len(batch)
            try:
                outs = await loop.run_in_executor(self._executor, self._run, [item for item, _ in batch])
            except BaseException as error:
                _fail([future for _, future in batch], error)
                if not isinstance(error, Exception):
                    _fail([future for _, future in self._waiting], error)
                    raise
                continue
            finally:
                self._running = 0
            # A few batches' worth of memory: texts are of many lengths.
            self._item_s = 0.7 * self._item_s + 0.3 * (loop.time() - began) / len(batch)
            for (_, future), out in zip(batch, outs, strict=True):
                if not future.done():
                    future.set_result(out)


def _fail(futures: Sequence[asyncio.Future[Out]], error: BaseException) -> None:
    for future in futures:
        if future.done():
            continue
        if isinstance(error, Exception):
            future.set_exception(error)
        else:
            # The loop is shutting down: a caller must see a cancellation, not wait for ever.
            future.cancel()
