"""The board of a run: an actor on the driver's node that all workers speak to, and the driver reads.

It holds what there must be one of: the folder's claim, the budget, how far every parcel is, and whether the workers
die faster than they work.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from constitution.claim import claim
from constitution.run import Determined
from constitution.sharded.meter import LENT_AT_ONCE
from constitution.sharded.parcel import Done, told
from constitution.sharded.plan import Plan
from constitution.sharded.shards import shards_of
from constitution.sharded.state import Cost, Progress, Reading, State
from rules.errors import WardlawError

_SILENT_S = 10.0
"""After which a worker that tells nothing is taken for dead; it tells how far it is every half second."""
_PARTS = 4
"""A worker is lent this part of its share of what is left."""
_STARTS = 5
"""Times that a worker's process may begin, on average, without a row being finished anywhere in between."""


def run_digest(run: Determined) -> str:
    """Digest of all that determines a run's rows."""
    return hashlib.blake2b(run.model_dump_json().encode(), digest_size=8).hexdigest()


class Board:
    """See the module's head. Its methods are called from other processes; none of them waits."""

    def __init__(
        self, plan: Plan, workers: int, spent: int, cwd: str = "", *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Args:
        plan: the run.
        workers: how many there are to be.
        spent: tokens of the folder's earlier runs.
        cwd: the driver's working folder, from which paths in the settings count; by default this process's.
        """
        if cwd:
            os.chdir(cwd)
        self._clock = clock
        self._plan = plan
        self._workers = workers
        budget = plan.settings.max_tokens_total
        self._left = None if budget is None else max(0, budget - spent)
        self._run: Determined | None = None
        self._refused: WardlawError | None = None
        self._reading = Reading()
        self._costs: dict[str, Cost] = {}
        self._heard: dict[str, float] = {}
        self._at_work: dict[str, Progress] = {}
        self._done: set[str] = set()
        self._sum = Progress()
        self._starts = self._idle_starts = 0

    # -- for the workers

    def hello(self) -> Plan:
        """A worker's process begins; it is told the plan."""
        self._starts += 1
        self._idle_starts += 1
        return self._plan

    def admit(self, run: Determined) -> tuple[Determined | None, WardlawError | None]:
        """Whether a worker with these models and this gate may add rows; the first one makes the folder's claim."""
        if self._run is None and self._refused is None:
            settings = self._plan.settings
            try:
                found = claim(
                    self._plan.out,
                    run,
                    self._plan.constitution,
                    self._plan.templates,
                    has_rows=bool(shards_of(self._plan.out)),
                    mixed=settings.mixed,
                    also=self._keep_settings,
                )
                found.record()
                self._run = run
            except WardlawError as error:
                self._refused = told(error)
        if self._refused is not None:
            return None, self._refused
        assert self._run is not None  # one of the two was set above
        if run != self._run:
            differences = "; ".join(self._run.differences(run))
            return None, WardlawError(
                f"a worker would make other rows than the first one ({differences})",
                "install the same wardlaw, models and encoder on every node",
            )
        return self._run, None

    def _keep_settings(self) -> None:
        from constitution.recorded import keep_settings

        keep_settings(self._plan.settings)

    def lend(self, tokens: int) -> int:
        """Lend at least `tokens` of the budget, or nothing."""
        if self._left is None:
            return tokens
        if tokens > self._left:
            return 0
        # Ever less, as it comes to its end: who is refused ends the run, whatever others have not spent yet.
        at_once = min(LENT_AT_ONCE, self._left // (_PARTS * self._workers))
        lent = min(self._left, max(tokens, at_once))
        self._left -= lent
        return lent

    def note(self, worker: str, cost: Cost, parcels: Mapping[str, Progress]) -> None:
        """How far a worker is."""
        self._costs[worker] = cost
        self._heard[worker] = self._clock()
        for name, progress in parcels.items():
            if name in self._done:
                continue
            before = self._at_work.get(name, Progress())
            if progress.accepted + progress.rejected > before.accepted + before.rejected:
                self._idle_starts = 0
            self._at_work[name] = progress

    def finish(self, done: Done) -> None:
        """A parcel came to an end; telling it twice counts once."""
        if done.name in self._done:
            return
        progress = Progress(done.accepted, done.rejected, done.failed, 0, done.last_failure)
        if not done.whole:
            self._at_work[done.name] = progress
            return
        self._done.add(done.name)
        self._at_work.pop(done.name, None)
        self._sum.add(progress)
        self._idle_starts = 0

    # -- for the reader

    def read(self, reading: Reading) -> None:
        """How far the reader is; where it had to begin anew it tells the same again."""
        self._reading = reading

    # -- for the driver

    def state(self) -> State:
        """How far all are."""
        rows = replace(self._sum)
        for progress in self._at_work.values():
            rows.add(progress)
        cost = Cost(loading=not self._costs)
        now = self._clock()
        for worker, one in self._costs.items():
            silent = now - self._heard[worker] > _SILENT_S
            cost.add(replace(one, in_flight=0) if silent else one)
        hopeless = ""
        if self._idle_starts > _STARTS * self._workers:
            hopeless = f"the workers' processes began {self._idle_starts} times and no row was finished in between"
        made_by = ("", "") if self._run is None else (self._run.constitution, run_digest(self._run))
        return State(self._reading, rows, cost, self._starts, hopeless, made_by)
