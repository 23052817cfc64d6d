from __future__ import annotations

import asyncio
import threading
from concurrent.futures import CancelledError

import pytest

from guard.judging.backstage import Backstage


async def nothing():
    pass


async def where():
    return threading.get_ident(), id(asyncio.get_running_loop())


def test_all_work_runs_on_one_loop_whoever_submits_it():
    stage = Backstage("judge")
    here = {stage.submit(where()).result() for _ in range(3)}

    async def from_a_loop():
        return await asyncio.wrap_future(stage.submit(where()))

    here |= {asyncio.run(from_a_loop()) for _ in range(2)}
    stage.close(nothing())
    assert len(here) == 1
    assert threading.get_ident() not in {thread for thread, _ in here}


def test_cancelling_the_future_cancels_the_work():
    stage = Backstage("judge")
    begun, cancelled = threading.Event(), threading.Event()

    async def wait():
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    future = stage.submit(wait())
    begun.wait(20)
    future.cancel()
    assert cancelled.wait(20)
    stage.close(nothing())


def test_closing_runs_the_last_work_ends_the_thread_and_cancels_the_rest():
    stage = Backstage("judge")
    waiting = stage.submit(asyncio.Event().wait())
    ran = threading.Event()

    async def last():
        ran.set()

    stage.close(last())
    assert ran.is_set()
    with pytest.raises(CancelledError):
        waiting.result(20)
    assert not any(thread.name == "wardlaw-judge" for thread in threading.enumerate())
    stage.close(last())
    with pytest.raises(RuntimeError, match="closed"):
        stage.submit(nothing())


def test_one_that_never_worked_can_be_closed():
    Backstage("judge").close(nothing())
