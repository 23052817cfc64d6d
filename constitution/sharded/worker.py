"""A worker: an actor of Ray Data that opens models, gate and loop once, and has several parcels at work at a time.

Several, so that the last slow rows of one do not leave the models idle.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, suppress
from typing import Any

from constitution.determining import determined
from constitution.pipeline import RAMP_S
from constitution.row import ModelRole
from constitution.sharded.board import Cost, Progress, run_digest
from constitution.sharded.meter import LentMeter
from constitution.sharded.parcel import Done, Parcel, packed, told, unpacked
from constitution.sharded.plan import MARK, Plan
from constitution.sharded.work import Tools, Work
from guard.gate import Gate
from guard.models import open_model
from guard.models.base import ChatModel, ModelUnavailable
from rules.errors import WardlawError

PARCELS = 3
"""Parcels at work at a time in one worker."""
_NOTE_S = 0.5
_OPENED_ANEW = 2
"""Times a local model that broke is opened anew for one parcel."""


class Worker:
    """See the module's head."""

    def __init__(self, board: Any, cwd: str) -> None:
        """Args: board: the handle of the board; cwd: the driver's working folder, where there is one of that name."""
        self._board = board
        self._name = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._tools: Tools | None = None
        self._works: dict[str, Work] = {}
        self._meter = LentMeter(lend=self._lend)
        self._opening: asyncio.Lock | None = None
        self._noting: asyncio.Task[None] | None = None
        self._closing = ExitStack()
        self._ramp_s = RAMP_S
        with suppress(OSError):
            os.chdir(cwd)  # models are named by paths as the driver sees them

    async def __call__(self, batch: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """Work the parcels of a batch through; Ray Data gives one at a time."""
        for data in batch["parcel"]:
            done = await self._take(unpacked(bytes(data)))
            if self._tools is not None:
                await self._note()
            await self._board.finish.remote(done)
            yield {"done": [packed(done)]}

    async def _take(self, parcel: Parcel) -> Done:
        if parcel.error is not None:
            return Done(parcel.name, error=parcel.error)
        for attempt in range(_OPENED_ANEW + 1):
            try:
                tools = await self._opened()
                work = self._works[parcel.name] = Work(tools, parcel, ramp_s=self._ramp_s)
                self._ramp_s = 0.0  # rows of the next parcels begin as those of this one end
                return await work.run()
            except ModelUnavailable as error:
                if attempt == _OPENED_ANEW:
                    return Done(parcel.name, error=told(error))
                await self._close_models()
            except Exception as error:  # whatever it is, it has to reach the driver, which ends the run with it
                return Done(parcel.name, error=told(error))
            finally:
                self._works.pop(parcel.name, None)
        raise AssertionError("unreachable")

    # -- opening

    async def _opened(self) -> Tools:
        """Models and gate, opened with the first parcel, not with the actor: an error there has to be told.

        Raises:
            WardlawError: a model or the gate cannot be opened, or the board does not admit this worker.
        """
        if self._opening is None:
            self._opening = asyncio.Lock()
        async with self._opening:
            if self._tools is None:
                plan = await self._board.hello.remote()
                if plan.settings.max_tokens_total is not None and self._meter.budget is None:
                    self._meter.budget = 0  # it grows by what the board lends
                self._tools = await self._open(plan)
                if self._noting is None:
                    self._noting = asyncio.create_task(self._note_now_and_then())
            return self._tools

    async def _open(self, plan: Plan) -> Tools:
        settings = plan.settings
        _look_at_folder(plan)
        calls = plan.concurrency * settings.samples
        names = dict.fromkeys(settings.models.values())
        opened = {name: await asyncio.to_thread(open_model, name, concurrency=calls) for name in names}
        models: dict[ModelRole, ChatModel] = {role: opened[name] for role, name in settings.models.items()}
        gate = await asyncio.to_thread(Gate.build, plan.constitution, encoder=settings.encoder, thorough=True)
        self._closing.enter_context(gate)
        own = determined(settings, plan.constitution, plan.templates, models, gate)
        run, refused = await self._board.admit.remote(own)
        if refused is not None:
            raise WardlawError(refused.what, refused.hint)
        return Tools(plan, run, run_digest(run), models, gate, self._meter)

    async def _close_models(self) -> None:
        tools, self._tools = self._tools, None
        if tools is not None:
            for model in {id(model): model for model in tools.models.values()}.values():
                with suppress(Exception):
                    await model.close()
        self._closing.close()

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


def _look_at_folder(plan: Plan) -> None:
    """That this node sees the driver's output folder.

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
