"""A whole stream through a window, its choices side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeAlias

from guard.window.outcomes import Channel, Held, Outcome, Stopped
from guard.window.window import Window

Delta: TypeAlias = tuple[int, Channel, str]
"""Choice, channel, text."""

Passed: TypeAlias = tuple[int, Channel, Outcome]

_WAITING = 256
"""Pieces that may wait for a choice's scan before the upstream has to wait too."""


async def relay(window: Window, deltas: AsyncIterator[Delta]) -> AsyncGenerator[Passed]:
    """What of a stream may leave, as soon as it may.

    While one choice waits for a scan the others go on, and text that waits longer than the window's patience is scanned
    though nothing more comes.

    Args:
        window: a new one.
        deltas: the stream.

    Yields:
        choice, channel, and what was released, or that the choice was stopped, or what was found and held; the order
        within a choice is that of the stream.

    Raises:
        Exception: what `deltas` raised, after what had been scanned by then; what is held is not released.
    """
    run = _Relay(window, deltas)
    reading = asyncio.create_task(run.read())
    try:
        while (passed := await run.out.get()) is not None:
            yield passed
        await reading
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


class _Relay:
    def __init__(self, window: Window, deltas: AsyncIterator[Delta]) -> None:
        self.out: asyncio.Queue[Passed | None] = asyncio.Queue(_WAITING)
        self._window = window
        self._deltas = deltas
        self._queues: dict[int, asyncio.Queue[tuple[Channel, str] | None]] = {}

    async def read(self) -> None:
        """Hand the pieces out to their choices, and see to it that the end is told."""
        try:
            # One choice that fails ends the others: none may go on as if the stream were whole.
            async with asyncio.TaskGroup() as tasks:
                async for choice, channel, text in self._deltas:
                    if choice not in self._queues:
                        self._queues[choice] = asyncio.Queue(_WAITING)
                        tasks.create_task(self._pass_on(choice, self._queues[choice]))
                    await self._queues[choice].put((channel, text))
                for queue in self._queues.values():
                    await queue.put(None)
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            await self.out.put(None)

    async def _pass_on(self, choice: int, queue: asyncio.Queue[tuple[Channel, str] | None]) -> None:
        """One choice, to its end."""
        stopped = False
        known: set[Channel] = set()
        while True:
            try:
                async with asyncio.timeout(self._window.waits(choice)):
                    piece = await queue.get()
            except TimeoutError:
                for channel, outcome in await self._window.atick(choice):
                    await self.out.put((choice, channel, outcome))
                continue
            if piece is None:
                break
            if piece[0] not in known:
                known.add(piece[0])
                for channel, outcome in await self._window.aswitch(choice, piece[0]):
                    stopped = stopped or isinstance(outcome, Stopped)
                    await self._tell(choice, channel, outcome)
            if not stopped:
                outcome = await self._window.afeed(choice, *piece)
                stopped = isinstance(outcome, Stopped)
                await self._tell(choice, piece[0], outcome)
        for _, channel, outcome in await self._window.aclose(choice):
            await self._tell(choice, channel, outcome)

    async def _tell(self, choice: int, channel: Channel, outcome: Outcome) -> None:
        if not isinstance(outcome, Held) or outcome.findings:
            await self.out.put((choice, channel, outcome))
