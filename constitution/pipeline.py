"""The row machine: many rows at once, each at its own pace, with no barrier between stages and none held in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

from constitution.drawn import Drawn
from constitution.failures import Failures, cause
from constitution.prompt import Prompt
from constitution.row import Row
from constitution.run import Determined
from constitution.store import MadeBy, RowStore
from guard.models.base import ModelConfigError, ModelError

RAMP_S = 0.2
"""Seconds over which the first rows begin. Rows that begin together stay together where calls take the same time, and
their answers come in one burst, of which each waits for all the others."""


@dataclass(slots=True)
class Tally:
    """How far a run is; a display reads it while the run goes on."""

    accepted: int = 0
    rejected: int = 0
    failed: int = 0
    """Rows put aside because a model could not answer; the next run takes them up."""
    resumed: int = 0
    """Rows that an earlier run had finished, whatever file their prompts stood in then."""
    other_rules: int = 0
    """Of these, those made by other rules than this run's."""
    other_ways: int = 0
    """Of these, those made by the same rules, but by other models, templates or sampling."""
    repeated: int = 0
    """Prompts that stand further up in this run's input: they make no second row."""
    open: int = 0
    """Rows at work."""
    last_failure: str = ""

    @property
    def finished(self) -> int:
        """Rows that this run finished."""
        return self.accepted + self.rejected


class MakesRows(Protocol):
    """The loop, or what stands round it."""

    async def run(self, prompt: Prompt) -> Row:
        """The row that comes of one prompt."""


class Claimed(Protocol):
    """What allows rows to be added to a folder."""

    @property
    def run(self) -> Determined:
        """What determines them."""

    def record(self) -> None:
        """Write that down, before the first row."""


class RowMachine:
    """Draws prompts and turns each into a kept row, `concurrency` at a time."""

    def __init__(
        self,
        loop: MakesRows,
        store: RowStore,
        tally: Tally,
        claim: Claimed,
        *,
        concurrency: int,
        ramp_s: float = RAMP_S,
        redo: bool = False,
    ) -> None:
        """Args: redo: make a row for every prompt, and put it in the place of the one that has its id."""
        self._loop = loop
        self._store = store
        self._claim = claim
        self._concurrency = concurrency
        self._ramp_s = ramp_s
        self._redo = redo
        self._failures = Failures()
        self.tally = tally

    async def run(self, prompts: Iterable[Prompt]) -> None:
        """Work through `prompts`, drawn one by one as places get free.

        Rows that are finished stay finished whatever happens; cancelling ends the calls in flight.

        Raises:
            BudgetSpent: no further call may be made.
            ModelConfigError, ModelUnavailable: no call can succeed.
            WardlawError: a prompt file, the gate or the store is at fault.
        """
        with closing(Drawn()) as drawn:
            await self.work(self._todo(prompts, drawn))

    async def work(self, todo: Iterator[tuple[int, Prompt]]) -> None:
        """As `run`, with prompts that are known to need a row, each with its place in the input."""
        try:
            async with asyncio.TaskGroup() as group:
                for place in range(self._concurrency):
                    group.create_task(self._work(todo, self._ramp_s * place / self._concurrency))
        except BaseExceptionGroup as failed:
            raise cause(failed) from None

    def _todo(self, prompts: Iterable[Prompt], drawn: Drawn) -> Iterator[tuple[int, Prompt]]:
        for position, prompt in enumerate(prompts):
            if not drawn.first(prompt.id):
                self.tally.repeated += 1
                continue
            made_by = None if self._redo else self._store.made_by(prompt.id)
            if made_by is None:
                yield position, prompt
                continue
            self.tally.resumed += 1
            run = self._claim.run
            if made_by.constitution != run.constitution:
                self.tally.other_rules += 1
            elif made_by != MadeBy(run.constitution, run.templates, run.models, run.sampling):
                self.tally.other_ways += 1

    async def _work(self, todo: Iterator[tuple[int, Prompt]], wait: float) -> None:
        await asyncio.sleep(wait)
        for position, prompt in todo:
            self.tally.open += 1
            try:
                await self._one(position, prompt)
            finally:
                self.tally.open -= 1

    async def _one(self, position: int, prompt: Prompt) -> None:
        try:
            row = await self._loop.run(prompt)
        except ModelConfigError:
            raise
        except ModelError as error:
            self._put_aside(prompt, error)
        else:
            self._keep(position, row)

    def _keep(self, position: int, row: Row) -> None:
        self._claim.record()
        if self._redo:
            self._store.redo_row(row)
        else:
            self._store.keep_row(position, row)
        self._failures.end()
        if row.status == "accepted":
            self.tally.accepted += 1
        else:
            self.tally.rejected += 1

    def _put_aside(self, prompt: Prompt, error: ModelError) -> None:
        self._store.keep_failure(prompt.id, prompt.source, error.what)
        self.tally.failed += 1
        self.tally.last_failure = error.what
        self._failures.count(error)
