"""One parcel worked through: its own row store while it lasts, one shard at its end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field

from constitution.calls import BudgetSpent, Caller, Meter
from constitution.determining import loop_settings
from constitution.loop import Loop
from constitution.pipeline import RAMP_S, RowMachine, Tally
from constitution.prompt import Prompt
from constitution.row import ModelRole, Row
from constitution.row_file import FILE
from constitution.run import Determined
from constitution.sharded.parcel import Done, Parcel, told
from constitution.sharded.parcel_store import ParcelStore
from constitution.sharded.plan import WORK, Plan
from guard.gate import Gate
from guard.models.base import ChatModel, ModelError, ModelUnavailable
from rules.errors import WardlawError

ALONE, GIVEN_UP = 2, 3
"""Deaths of workers, or of models in them, at a row: from so many on it is worked on alone, from so many put aside."""


@dataclass(slots=True)
class Tools:
    """What a worker opened for all its parcels."""

    plan: Plan
    run: Determined
    run_digest: str
    models: Mapping[ModelRole, ChatModel]
    gate: Gate
    meter: Meter
    alone: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the parcel that has a row at work at which workers died."""


class _Free:
    """The folder's claim, as the row machine asks for it: the board made it before the first row."""

    def __init__(self, run: Determined) -> None:
        self._run = run

    @property
    def run(self) -> Determined:
        """What determines the rows."""
        return self._run

    def record(self) -> None:
        """Nothing is left to do."""


class _Noted:
    """The loop; the store knows at which rows it is."""

    def __init__(self, loop: Loop, store: ParcelStore) -> None:
        self._loop = loop
        self._store = store

    async def run(self, prompt: Prompt) -> Row:
        self._store.begin(prompt.id)
        try:
            return await self._loop.run(prompt)
        except ModelError as error:
            if not (isinstance(error, ModelUnavailable) and error.endpoint_down):
                self._store.end(prompt.id)  # it is put aside, and nothing dies at it
            raise


class Work:
    """One parcel at work; `tally` tells how far it is, rows of an earlier worker counted in."""

    def __init__(self, tools: Tools, parcel: Parcel, *, ramp_s: float = RAMP_S) -> None:
        self.parcel = parcel
        self.tally = Tally()
        self._tools = tools
        self._ramp_s = ramp_s
        self._folder = tools.plan.out / WORK / parcel.name

    async def run(self) -> Done:
        """Make the rows, and put them into the shard.

        Raises:
            ModelUnavailable: a model that runs in this process broke. What is finished is kept.
        """
        try:
            # On a thread: one that was given up may still have it, and the worker's other parcels are not to wait.
            store = await asyncio.to_thread(ParcelStore, self._folder)
            with closing(store):
                done = await self._through(store)
                if done.whole:
                    store.put_away(self._tools.plan.out, self.parcel.name)
                    if not done.failed:
                        store.drop()
                return done
        except ModelUnavailable as error:
            if any(model.local for model in self._tools.models.values()):
                raise
            return self._done(error=told(error))
        except Exception as error:  # whatever it is, it has to reach the driver, which ends the run with it
            return self._done(error=told(error))

    async def _through(self, store: ParcelStore) -> Done:
        tools, parcel = self._tools, self.parcel
        store.run = tools.run_digest
        store.take_back(tools.plan.out, parcel.name)
        finished = store.finished()
        todo = [(position, prompt) for position, prompt in parcel.prompts if prompt.id not in finished]
        for status in (row.status for row in store.rows()):
            self.tally.accepted += status == "accepted"
            self.tally.rejected += status == "rejected"
        self._carry(store, {prompt.id for _, prompt in todo})
        deaths = store.died()
        together = [item for item in todo if deaths.get(item[1].id, 0) < ALONE]
        alone = [item for item in todo if ALONE <= deaths.get(item[1].id, 0) < GIVEN_UP]
        for _, prompt in todo:
            if deaths.get(prompt.id, 0) >= GIVEN_UP:
                what = f"{deaths[prompt.id]} workers, or models in them, died while it was at work"
                store.keep_failure(prompt.id, prompt.source, what)
                self.tally.failed += 1
                self.tally.last_failure = what
        try:
            await self._machine(store, tools.plan.concurrency).work(iter(together))
            if alone:
                async with tools.alone:  # in the whole worker: what dies with a row is taken for guilty
                    await self._machine(store, 1).work(iter(alone))
        except BudgetSpent as error:
            return self._done(spent=told(error))
        return self._done()

    def _machine(self, store: ParcelStore, concurrency: int) -> RowMachine:
        tools, settings = self._tools, self._tools.plan.settings
        loop = Loop(
            tools.plan.constitution,
            tools.plan.templates,
            tools.gate,
            Caller(tools.models, {role: settings.drawn(role) for role in tools.models}, store, tools.meter),
            loop_settings(settings, tools.run),
            models=tools.run.models,
            sampling=tools.run.sampling,
        )
        return RowMachine(
            _Noted(loop, store), store, self.tally, _Free(tools.run), concurrency=concurrency, ramp_s=self._ramp_s
        )

    def _carry(self, store: ParcelStore, ids: set[str]) -> None:
        """Take over the calls that earlier runs made for these rows."""
        for name in self.parcel.carry:
            path = self._tools.plan.out / WORK / name / FILE
            if path.exists():
                store.take_calls(path, ids)

    def _done(self, *, spent: WardlawError | None = None, error: WardlawError | None = None) -> Done:
        tally = self.tally
        return Done(self.parcel.name, tally.accepted, tally.rejected, tally.failed, tally.last_failure, spent, error)
