from __future__ import annotations

import asyncio
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest

from guard.portal import Portal


@pytest.fixture
def portal():
    made = Portal("test-portal")
    yield made
    made.close()


async def where():
    return threading.current_thread().name, id(asyncio.get_running_loop())


def test_callers_of_all_threads_run_on_one_loop_in_one_thread(portal):
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: portal.run(where()), range(20)))
    assert {name for name, _ in found} == {"test-portal"}
    assert len(found) == 1


def test_callers_of_several_loops_share_it(portal):
    assert asyncio.run(portal.ask(where())) == asyncio.run(portal.ask(where())) == portal.run(where())


def test_what_the_work_raises_reaches_the_caller(portal):
    async def fails():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        portal.run(fails())
    with pytest.raises(ValueError, match="no"):
        asyncio.run(portal.ask(fails()))


async def test_a_caller_who_is_cancelled_cancels_the_work(portal):
    began, ended = threading.Event(), threading.Event()

    async def long():
        began.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    caller = asyncio.create_task(portal.ask(long()))
    await asyncio.to_thread(began.wait, 10)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert await asyncio.to_thread(ended.wait, 10)


def test_closing_cancels_what_still_runs_and_ends_the_thread():
    portal = Portal("closing-portal")
    began = threading.Event()

    async def long():
        began.set()
        await asyncio.sleep(60)

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(portal.run, long())
        assert began.wait(10)
        portal.close()
        with pytest.raises(CancelledError):
            waiting.result(10)
    assert "closing-portal" not in {thread.name for thread in threading.enumerate()}
    portal.close()


def test_work_for_a_closed_portal_is_refused_and_left_undone():
    portal = Portal("closed-portal")
    portal.close()
    work = where()
    with pytest.raises(RuntimeError, match="closed"):
        portal.run(work)
    work.close()
