"""The row machine: many rows at once, each at its own pace, with no barrier between stages and none held in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from constitution.calls import BudgetSpent
from constitution.loop import Loop
from constitution.prompt import Prompt
from constitution.row import Row
from constitution.store import RowStore
from guard.models.base import ModelConfigError, ModelError, ModelUnavailable

_FAILURES_IN_A_ROW = 5
"""Rows that fail one after the other, with none finished in between, from which on the model is taken to be broken."""


@dataclass(slots=True)
class Tally:
    """How far a run is; a display reads it while the run goes on."""

    accepted: int = 0
    rejected: int = 0
    failed: int = 0
    """Rows put aside because a model could not answer; the next run takes them up."""
    resumed: int = 0
    """Rows that an earlier run had finished."""
    repeated: int = 0
    """Prompts that had stood in the input before: they make no second row."""
    open: int = 0
    """Rows at work."""
    last_failure: str = ""

    @property
    def finished(self) -> int:
        """Rows that this run finished."""
        return self.accepted + self.rejected


class RowMachine:
    """Draws prompts and turns each into a kept row, `concurrency` at a time."""

    def __init__(self, loop: Loop, store: RowStore, tally: Tally, *, concurrency: int) -> None:
        self._loop = loop
        self._store = store
        self._concurrency = concurrency
        self._at_work: set[str] = set()
        self._failed_in_a_row = 0
        self.tally = tally

    async def run(self, prompts: Iterable[Prompt]) -> None:
        """Work through `prompts`, drawn one by one as places get free.

        Rows that are finished stay finished whatever happens; cancelling ends the calls in flight.

        Raises:
            BudgetSpent: no further call may be made.
            ModelConfigError, ModelUnavailable: no call can succeed.
            WardlawError: a prompt file, the gate or the store is at fault.
        """
        todo = self._todo(prompts)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._concurrency):
                    group.create_task(self._work(todo))
        except BaseExceptionGroup as failed:
            raise _cause(failed) from None

    def _todo(self, prompts: Iterable[Prompt]) -> Iterator[tuple[int, Prompt]]:
        for position, prompt in enumerate(prompts):
            if prompt.id in self._at_work:
                self.tally.repeated += 1
                continue
            source = self._store.source_of(prompt.id)
            if source is None:
                self._at_work.add(prompt.id)
                yield position, prompt
            elif (source.file, source.line) == (prompt.source.file, prompt.source.line):
                self.tally.resumed += 1
            else:
                self.tally.repeated += 1

    async def _work(self, todo: Iterator[tuple[int, Prompt]]) -> None:
        for position, prompt in todo:
            self.tally.open += 1
            try:
                await self._one(position, prompt)
            finally:
                self.tally.open -= 1
                self._at_work.discard(prompt.id)

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
        self._store.keep_row(position, row)
        self._failed_in_a_row = 0
        if row.status == "accepted":
            self.tally.accepted += 1
        else:
            self.tally.rejected += 1

    def _put_aside(self, prompt: Prompt, error: ModelError) -> None:
        """One prompt that a model cannot answer must not end the run; a model that answers nothing must."""
        self._store.keep_failure(prompt.id, prompt.source, error.what)
        self.tally.failed += 1
        self.tally.last_failure = error.what
        self._failed_in_a_row += 1
        down = isinstance(error, ModelUnavailable) and error.endpoint_down
        if down or self._failed_in_a_row >= _FAILURES_IN_A_ROW:
            raise error


def _cause(failed: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error to tell of: what cannot be mended by going on comes before a spent budget."""
    causes = [_cause(error) if isinstance(error, BaseExceptionGroup) else error for error in failed.exceptions]
    serious = [error for error in causes if not isinstance(error, BudgetSpent)]
    return (serious or causes)[0]
