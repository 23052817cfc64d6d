"""What a worker thread makes bit by bit, handed to the event loop that waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import Future
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class CancelledWork(Exception):
    """The work was called off by someone other than the one who waits for it."""


class Handover(Generic[Item, Result]):
    """Items from a thread to the loop in which this was made, in their order, and the result after them."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._items: asyncio.Queue[Item | Future[Result]] = asyncio.Queue()
        self._work: Future[Result] | None = None

    def put(self, item: Item) -> None:
        """Hand an item over; called in the worker thread."""
        self._send(item)

    async def until(self, work: Future[Result]) -> AsyncGenerator[Item, None]:
        """The items, until the work is done. Leaving calls it off, where it has not begun.

        Raises:
            CancelledWork: the work was called off elsewhere.
            Exception: whatever the work raised.
        """
        self._work = work
        work.add_done_callback(self._send)
        try:
            while not isinstance(item := await self._items.get(), Future):
                yield item
            if work.cancelled():
                raise CancelledWork
            work.result()
        finally:
            work.cancel()

    def result(self) -> Result:
        """What the work came to; only after its last item."""
        if self._work is None or not self._work.done():
            raise RuntimeError("the work is not done")
        return self._work.result()

    def _send(self, item: Item | Future[Result]) -> None:
        # a loop that has ended has no reader either
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._items.put_nowait, item)
