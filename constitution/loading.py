"""Models and gates are loaded on a thread, so that the event loop hears that the run is to stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

Loaded = TypeVar("Loaded")


@asynccontextmanager
async def on_thread(load: Callable[[], Loaded]) -> AsyncIterator[Loaded]:
    """What `load` gives, once it is there; the block takes charge of it, even where the run was cancelled meanwhile."""
    task = asyncio.create_task(asyncio.to_thread(load))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})  # a thread cannot be ended, and what it loads has to be let go of
        if not task.cancelled() and task.exception() is None:
            yield task.result()
        raise
    yield task.result()
