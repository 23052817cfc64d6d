"""Micro-batches know how long one who comes now would wait."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from guard.batching import Batcher


async def test_the_wait_grows_with_who_waits_and_who_is_looked_at_and_ends_with_them() -> None:
    go = threading.Event()

    def run(items: Sequence[int]) -> Sequence[int]:
        go.wait(10)
        return items

    with ThreadPoolExecutor(1) as pool:
        batcher = Batcher(run, pool, 4)
        assert batcher.wait_s == 0.0
        asked = [asyncio.create_task(batcher.ask(number)) for number in range(10)]
        await asyncio.sleep(0.05)
        first = batcher.wait_s
        assert first > 0
        asked += [asyncio.create_task(batcher.ask(number)) for number in range(10)]
        await asyncio.sleep(0)
        assert batcher.wait_s == pytest.approx(2 * first)
        go.set()
        assert await asyncio.gather(*asked) == [*range(10), *range(10)]
        assert batcher.wait_s == 0.0


async def test_a_run_that_fails_leaves_nothing_to_wait_for() -> None:
    def run(_: Sequence[int]) -> Sequence[int]:
        raise OSError("gone")

    with ThreadPoolExecutor(1) as pool:
        batcher = Batcher(run, pool, 4)
        done = await asyncio.gather(*(batcher.ask(number) for number in range(6)), return_exceptions=True)
        assert all(isinstance(each, OSError) for each in done)
        assert batcher.wait_s == 0.0
