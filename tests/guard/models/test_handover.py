"""From a worker thread to the loop: order, faults, and readers who leave."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import aclosing

import pytest

from guard.models._handover import CancelledWork, Handover


async def test_items_come_in_order_and_the_result_after_them() -> None:
    hand: Handover[int, str] = Handover()

    def work() -> str:
        for n in range(500):
            hand.put(n)
        return "done"

    with ThreadPoolExecutor(1) as pool:
        assert [item async for item in hand.until(pool.submit(work))] == list(range(500))
    assert hand.result() == "done"


async def test_what_the_work_raises_comes_after_its_items() -> None:
    hand: Handover[int, None] = Handover()

    def work() -> None:
        hand.put(1)
        raise OSError("the file is gone")

    items = []
    with ThreadPoolExecutor(1) as pool, pytest.raises(OSError, match="the file is gone"):
        async for item in hand.until(pool.submit(work)):
            items.append(item)  # noqa: PERF401  # a list made at once would be lost with the fault
    assert items == [1]


async def test_a_reader_who_leaves_calls_off_work_that_has_not_begun() -> None:
    hand: Handover[int, None] = Handover()
    busy = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(busy.wait)
        waiting = pool.submit(lambda: None)
        task = asyncio.create_task(_all(hand, waiting))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        busy.set()
    with pytest.raises(CancelledError):
        waiting.result()


async def test_work_that_someone_else_calls_off_says_so() -> None:
    hand: Handover[int, None] = Handover()
    busy = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(busy.wait)
        waiting = pool.submit(lambda: None)
        task = asyncio.create_task(_all(hand, waiting))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(CancelledWork):
            await task
        busy.set()


async def test_there_is_no_result_before_the_end() -> None:
    with pytest.raises(RuntimeError):
        Handover().result()


async def _all(hand: Handover[int, None], work: object) -> list[int]:
    async with aclosing(hand.until(work)) as items:  # type: ignore[arg-type]
        return [item async for item in items]
