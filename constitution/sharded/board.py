"""The board of a run: an actor on the driver's node that all workers speak to, and the driver reads.

It holds what there must be one of: the folder's claim, the budget, how far every parcel is, and whether the workers
die faster than they work.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from constitution.claim import claim
from constitution.pipeline import Tally
from constitution.prompt import Mixture
from constitution.run import Determined
from constitution.sharded.meter import LENT_AT_ONCE
from constitution.sharded.parcel import Done, told
from constitution.sharded.plan import Plan
from constitution.sharded.shards import shards_of
from rules.errors import WardlawError

_STARTS = 5
"""Times that a worker's process may begin, on average, without a row being finished anywhere in between."""


@dataclass(slots=True)
class Reading:
    """How far the reader is, and what it passed over."""

    read: int = 0
    resumed: dict[tuple[str, str], int] = field(default_factory=dict)
    """Digest of the constitution and of the run -> rows that are finished."""
    repeated: int = 0
    skipped: int = 0
    first_skipped: tuple[str, ...] = ()
    mixture: Mixture = field(default_factory=Mixture)
    ended: bool = False


@dataclass(slots=True)
class Cost:
    """What a worker's process spent so far."""

    prompt: int = 0
    completion: int = 0
    calls: int = 0
    reused: int = 0
    in_flight: int = 0
    loading: bool = True


@dataclass(slots=True)
class Progress:
    """How far a parcel is, whichever worker has it."""

    accepted: int = 0
    rejected: int = 0
    failed: int = 0
    open: int = 0
    last_failure: str = ""


@dataclass(slots=True)
class State:
    """All the driver wants to know."""

    reading: Reading
    rows: Progress
    cost: Cost
    starts: int
    """Processes of workers that began."""
    hopeless: str = ""
    """Why nothing will come of going on; empty where something may."""
    made_by: tuple[str, str] = ("", "")
    """Digests of the constitution and of the run whose rows are made; empty before a worker was admitted."""


def run_digest(run: Determined) -> str:
    """Digest of all that determines a run's rows."""
    return hashlib.blake2b(run.model_dump_json().encode(), digest_size=8).hexdigest()


class Board:
    """See the module's head. Its methods are called from other processes; none of them waits."""

    def __init__(self, plan: Plan, workers: int, spent: int) -> None:
        """Args: spent: tokens of the folder's earlier runs."""
        self._plan = plan
        self._workers = workers
        budget = plan.settings.max_tokens_total
        self._left = None if budget is None else max(0, budget - spent)
        self._run: Determined | None = None
        self._refused: WardlawError | None = None
        self._reading = Reading()
        self._costs: dict[str, Cost] = {}
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
        lent = min(self._left, max(tokens, LENT_AT_ONCE))
        self._left -= lent
        return lent

    def note(self, worker: str, cost: Cost, parcels: Mapping[str, Progress]) -> None:
        """How far a worker is."""
        self._costs[worker] = cost
        for name, progress in parcels.items():
            if name in self._done:
                continue
            before = self._at_work.get(name)
            if before is None or progress.accepted + progress.rejected > before.accepted + before.rejected:
                self._idle_starts = 0
            self._at_work[name] = progress

    def finish(self, done: Done) -> None:
        """A parcel came to an end; telling it twice counts once."""
        if done.name in self._done:
            return
        if done.whole:
            self._done.add(done.name)
            self._at_work.pop(done.name, None)
            self._idle_starts = 0
        else:
            self._at_work[done.name] = Progress(done.accepted, done.rejected, done.failed, 0, done.last_failure)
            return
        self._sum.accepted += done.accepted
        self._sum.rejected += done.rejected
        self._sum.failed += done.failed
        self._sum.last_failure = done.last_failure or self._sum.last_failure

    # -- for the reader

    def read(self, reading: Reading) -> None:
        """How far the reader is; where it had to begin anew it tells the same again."""
        self._reading = reading

    # -- for the driver

    def state(self) -> State:
        """How far all are."""
        rows = Progress(**{f.name: getattr(self._sum, f.name) for f in fields(Progress)})
        for progress in self._at_work.values():
            rows.accepted += progress.accepted
            rows.rejected += progress.rejected
            rows.failed += progress.failed
            rows.open += progress.open
            rows.last_failure = progress.last_failure or rows.last_failure
        cost = Cost(loading=not self._costs)
        for one in self._costs.values():
            cost.prompt += one.prompt
            cost.completion += one.completion
            cost.calls += one.calls
            cost.reused += one.reused
            cost.in_flight += one.in_flight
        hopeless = ""
        if self._idle_starts > _STARTS * self._workers:
            hopeless = f"the workers' processes began {self._idle_starts} times and no row was finished in between"
        made_by = ("", "") if self._run is None else (self._run.constitution, run_digest(self._run))
        return State(self._reading, rows, cost, self._starts, hopeless, made_by)


def show(state: State, tally: Tally) -> None:
    """Put what the board says into the tally that a display reads."""
    rows, reading = state.rows, state.reading
    tally.accepted, tally.rejected, tally.failed = rows.accepted, rows.rejected, rows.failed
    tally.open, tally.last_failure, tally.repeated = rows.open, rows.last_failure, reading.repeated
    tally.resumed = sum(reading.resumed.values())
    if state.made_by[0]:
        constitution, run = state.made_by
        by_rules = {made: count for made, count in reading.resumed.items() if made[0] == constitution}
        tally.other_rules = tally.resumed - sum(by_rules.values())
        tally.other_ways = sum(count for made, count in by_rules.items() if made[1] != run)
