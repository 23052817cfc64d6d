"""Many contests at once, each kept as it ends; a killed run goes on where it was."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from constitution.failures import Failures, cause
from constitution.pipeline import Tally
from constitution.preference.contest import Contest
from constitution.preference.match import Matches
from constitution.preference.store import OutcomeStore
from guard.models.base import ModelConfigError, ModelError


class Machine:
    """Draws contests and turns each into a kept outcome, `concurrency` at a time."""

    def __init__(self, matches: Matches, store: OutcomeStore, tally: Tally, *, made: str, concurrency: int) -> None:
        """Args: made: digest of all that determines labels."""
        self._matches = matches
        self._store = store
        self._tally = tally
        self._made = made
        self._concurrency = concurrency
        self._at_work: set[str] = set()
        self._failures = Failures()

    async def run(self, contests: Iterator[Contest]) -> None:
        """Work through `contests`, drawn one by one as places get free.

        Raises:
            BudgetSpent: no further call may be made.
            ModelConfigError, ModelUnavailable: no call can succeed.
            WardlawError: a source or the store is at fault.
        """
        todo = self._todo(contests)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._concurrency):
                    group.create_task(self._work(todo))
        except BaseExceptionGroup as failed:
            raise cause(failed) from None

    def _todo(self, contests: Iterator[Contest]) -> Iterator[tuple[int, Contest]]:
        for position, contest in enumerate(contests):
            if contest.id in self._at_work:
                self._tally.repeated += 1
            elif self._store.has_outcome(self._made, contest.id):
                self._tally.resumed += 1
            else:
                yield position, contest

    async def _work(self, todo: Iterator[tuple[int, Contest]]) -> None:
        for position, contest in todo:
            self._at_work.add(contest.id)
            self._tally.open += 1
            try:
                await self._one(position, contest)
            finally:
                self._tally.open -= 1
                self._at_work.discard(contest.id)

    async def _one(self, position: int, contest: Contest) -> None:
        try:
            outcome = await self._matches.hold(contest)
        except ModelConfigError:
            raise
        except ModelError as error:
            self._put_aside(contest, error)
            return
        self._store.keep_outcome(position, outcome)
        self._failures.end()
        if outcome.status == "accepted":
            self._tally.accepted += 1
        else:
            self._tally.rejected += 1

    def _put_aside(self, contest: Contest, error: ModelError) -> None:
        self._store.keep_failure(contest.id, contest.source, error.what)
        self._tally.failed += 1
        self._tally.last_failure = error.what
        self._failures.count(error)
