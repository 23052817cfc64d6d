"""A worker: an actor of Ray Data that opens models, gate and loop once, and has several parcels at work at a time.

Several, so that the last slow rows of one do not leave the models idle.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

from constitution.determining import determined
from constitution.pipeline import RAMP_S
from constitution.row import ModelRole
from constitution.sharded.board import run_digest
from constitution.sharded.meter import LentMeter
from constitution.sharded.parcel import Done, Parcel, packed, told, unpacked
from constitution.sharded.plan import MARK, Plan
from constitution.sharded.state import Cost, Progress
from constitution.sharded.work import Tools, Work
from guard.gate import Gate
from guard.models import open_model
from guard.models.base import ChatModel, ModelUnavailable
from rules.errors import WardlawError

PARCELS = 3
"""Parcels at work at a time in one worker."""
_NOTE_S = 0.5
_OPENED_ANEW = 4
"""Times a model that broke is opened anew with no row finished in between; at three deaths a row is put aside."""


@dataclass(slots=True)
class _Opened:
    """Models and gate, and how many parcels work with them."""

    tools: Tools
    closing: AsyncExitStack
    broken: bool = False
    unused: asyncio.Event = field(default_factory=asyncio.Event)
    _users: int = 0

    def lend(self) -> None:
        self._users += 1
        self.unused.clear()

    def give_back(self) -> None:
        self._users -= 1
        if not self._users:
            self.unused.set()


class Worker:
    """See the module's head."""

    def __init__(self, board: Any, cwd: str) -> None:
        """Args: board: the handle of the board; cwd: the driver's working folder, where there is one of that name."""
        self._board = board
        self._name = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._plan: Plan | None = None
        self._opened: _Opened | None = None
        self._opening = asyncio.Lock()
        self._works: dict[str, Work] = {}
        self._meter = LentMeter(lend=self._lend)
        self._noting: asyncio.Task[None] | None = None
        self._ramp_s = RAMP_S
        with suppress(OSError):
            os.chdir(cwd)  # models are named by paths as the driver sees them

    async def __call__(self, batch: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """Work the parcels of a batch through; Ray Data gives one at a time."""
        for data in batch["parcel"]:
            done = await self._take(unpacked(bytes(data)))
            if self._opened is not None:
                await self._note()
            await self._board.finish.remote(done)
            yield {"done": [packed(done)]}

    async def _take(self, parcel: Parcel) -> Done:
        if parcel.error is not None:
            return Done(parcel.name, error=parcel.error)
        in_vain = finished = 0
        while True:
            opened: _Opened | None = None
            try:
                opened = await self._lent()
                work = self._works[parcel.name] = Work(opened.tools, parcel, ramp_s=self._ramp_s)
                self._ramp_s = 0.0  # rows of the next parcels begin as those of this one end
                return await work.run()
            except ModelUnavailable as error:
                if opened is not None:
                    opened.broken = True
                    before, finished = finished, work.tally.finished
                    in_vain = 0 if finished > before else in_vain
                in_vain += 1
                if in_vain > _OPENED_ANEW:
                    return Done(parcel.name, error=told(error))
            except Exception as error:  # whatever it is, it has to reach the driver, which ends the run with it
                return Done(parcel.name, error=told(error))
            finally:
                self._works.pop(parcel.name, None)
                if opened is not None:
                    opened.give_back()

    # -- opening

    async def _lent(self) -> _Opened:
        """Models and gate, opened with the first parcel, not with the actor: an error there has to be told.

        Where they broke they are opened anew, once the other parcels of this worker have let go of them.

        Raises:
            WardlawError: a model or the gate cannot be opened, or the board does not admit this worker.
        """
        async with self._opening:
            if self._opened is not None and self._opened.broken:
                await self._opened.unused.wait()
                broken, self._opened = self._opened, None
                await broken.closing.aclose()
            if self._plan is None:
                self._plan = await self._board.hello.remote()
                if self._plan.settings.max_tokens_total is not None:
                    self._meter.budget = 0  # it grows by what the board lends
            _look_at_folder(self._plan)
            if self._opened is None:
                self._opened = await self._open(self._plan)
                if self._noting is None:
                    self._noting = asyncio.create_task(self._note_now_and_then())
            self._opened.lend()
            return self._opened

    async def _open(self, plan: Plan) -> _Opened:
        settings = plan.settings
        calls = plan.concurrency * settings.samples
        async with AsyncExitStack() as closing:
            opened: dict[str, ChatModel] = {}
            for name in dict.fromkeys(settings.models.values()):
                opened[name] = await asyncio.to_thread(open_model, name, concurrency=calls)
                closing.push_async_callback(_close, opened[name])
            models: dict[ModelRole, ChatModel] = {role: opened[name] for role, name in settings.models.items()}
            gate = await asyncio.to_thread(Gate.build, plan.constitution, encoder=settings.encoder, thorough=True)
            closing.enter_context(gate)
            own = determined(settings, plan.constitution, plan.templates, models, gate)
            run, refused = await self._board.admit.remote(own)
            if refused is not None:
                raise WardlawError(refused.what, refused.hint)
            return _Opened(Tools(plan, run, run_digest(run), models, gate, self._meter), closing.pop_all())

    # -- telling

    async def _lend(self, tokens: int) -> int:
        return int(await self._board.lend.remote(tokens))

    async def _note(self) -> None:
        meter = self._meter
        cost = Cost(
            meter.usage.prompt, meter.usage.completion, meter.calls, meter.reused, meter.in_flight, loading=False
        )
        parcels = {
            name: Progress(
                work.tally.accepted, work.tally.rejected, work.tally.failed, work.tally.open, work.tally.last_failure
            )
            for name, work in self._works.items()
        }
        await self._board.note.remote(self._name, cost, parcels)

    async def _note_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(_NOTE_S)
            with suppress(Exception):  # the board is gone: the run is over
                await self._note()


async def _close(model: ChatModel) -> None:
    with suppress(Exception):  # it may be broken
        await model.close()


def _look_at_folder(plan: Plan) -> None:
    """That this node sees the driver's output folder, and that the run still goes on: a worker may outlive its driver.

    Raises:
        WardlawError: it does not.
    """
    mark = plan.out / MARK
    try:
        seen = mark.read_text(encoding="ascii")
    except OSError:
        seen = ""
    if seen != plan.session:
        node = os.uname().nodename
        raise WardlawError(
            f"the node `{node}` does not see the output folder `{plan.out}`",
            "give an --out folder on a file system that all nodes of the cluster share, at the same path",
        )
