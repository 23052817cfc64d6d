"""The engine of many processes or machines: Ray Data streams parcels of prompts through workers.

See constitution/sharded for the pieces, docs/scale.md for what it is for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from constitution.calls import BudgetSpent
from constitution.duplicates import REASON, reject_duplicates
from constitution.engines import EngineError, Where
from constitution.export import export
from constitution.formats.files import write_text
from constitution.generate import REMOTE_ROWS, Generation, Outcome
from constitution.input import expanded
from constitution.output import keep_output, read_output
from constitution.row_file import FILE
from constitution.run import locked
from constitution.settings import Settings
from constitution.sharded.board import Board
from constitution.sharded.drive import Drive, drawn, gave_up
from constitution.sharded.leftovers import Leftovers, next_session, settle
from constitution.sharded.parcel import Done, size_of
from constitution.sharded.plan import MARK, Plan
from constitution.sharded.reader import FINISHED, Reader, index_finished
from constitution.sharded.shards import Shards, made_in
from constitution.sharded.state import Reading, State, show
from constitution.sharded.worker import PARCELS, Worker
from guard.cluster import Cluster, connected
from guard.models.base import Usage
from rules.errors import WardlawError
from rules.schema import Constitution

_LOOK_S = 0.5
_IN_PROCESS = ("gguf:", "hf:", "embedded", "vllm:")
"""Models that every worker opens for itself."""


def generation(settings: Settings, constitution: Constitution, where: Where) -> Generation:
    """A run on Ray.

    Raises:
        EngineError: the folder is one of the local engine, or prompts come from standard input.
    """
    if (settings.out / FILE).exists():
        raise EngineError(
            f"`{settings.out}` holds rows of the local engine", "leave --engine out, or use another --out folder"
        )
    if "-" in (*settings.prompts, *settings.benign):
        raise EngineError(
            "standard input cannot be read by `--engine ray`, which may read it twice", "write it to a file"
        )
    return RayGeneration(settings, constitution, where)


class RayGeneration(Generation):
    """One run on Ray. Its tally and meter are those of all workers."""

    def __init__(self, settings: Settings, constitution: Constitution, where: Where) -> None:
        super().__init__(settings, constitution)
        self._where = where

    async def run(self) -> Outcome:
        """Make the rows and write the files.

        Raises:
            ClusterError: no cluster can be had.
            RunError: the folder is in use, or holds rows that were made otherwise.
            WardlawError: as Generation.run. What is finished is kept; run again to go on.
        """
        settings = self.settings
        self.meter.loading = True
        with locked(settings.out):
            left = await asyncio.to_thread(settle, settings.out)
            plan = self._plan()
            keep_output(settings.out, read_output(settings.out, settings.output))
            self.meter.before = await asyncio.to_thread(_spent, settings.out) + left.tokens
            spent = None
            try:
                await self._rows(plan, left)
            except BudgetSpent:
                spent = self._budget_spent()
            finally:
                self.meter.loading = False
                (settings.out / MARK).unlink(missing_ok=True)
                (settings.out / FINISHED).unlink(missing_ok=True)
                settle(settings.out, session=plan.session)  # what stopped workers had finished
                self.tally.accepted, self.tally.rejected = made_in(settings.out, plan.session)
            with closing(Shards(settings.out, read_only=False)) as shards:
                reject_duplicates(shards)
                exported = export(settings.out, shards, names=settings.formats, given=settings.output)
                return Outcome(exported, shards.reasons().get(REASON, 0), spent)

    def _budget_spent(self) -> BudgetSpent:
        """In the figures of the run: a worker knows only of what was lent to it."""
        return BudgetSpent(
            f"the budget of {self.settings.max_tokens_total or 0:,} tokens is spent: {self.meter.spent:,} are used,"
            " and the rest is too little for all the calls that were to go out",
            "run again with a larger --max-tokens-total; finished calls are not asked again",
        )

    def _plan(self) -> Plan:
        settings = self.settings
        out = settings.out.resolve()
        plan = Plan(
            settings.model_copy(update={"out": out}),
            self.constitution,
            self.templates,
            out,
            next_session(out),
            settings.concurrency or REMOTE_ROWS,
        )
        index_finished(out)
        write_text(out / MARK, plan.session)
        return plan

    async def _rows(self, plan: Plan, left: Leftovers) -> None:
        """All parcels, on the cluster.

        Raises:
            BudgetSpent: the budget was spent before they were finished.
            WardlawError: the run has to stop.
        """
        with connected(self._where.address) as cluster:
            workers = self._workers(cluster)
            size = size_of(self.total, workers)
            board, dones = _started(plan, left, cluster, workers, size, self.meter.before, self._gpus(cluster))
            drive = Drive(dones)
            try:
                while not drive.ended.is_set():
                    await asyncio.to_thread(drive.ended.wait, _LOOK_S)
                    self._show(state := await _state(board))
                    if state.hopeless:
                        hint = "see the logs of the workers (in /tmp/ray), mend it and run again"
                        raise WardlawError(state.hopeless, hint)
            finally:
                drive.stop()
            self._show(await _state(board))
            drive.tell()

    def _workers(self, cluster: Cluster) -> int:
        if self._where.workers is not None:
            return self._where.workers
        return max(1, cluster.gpus if self._computes else cluster.cpus)

    def _gpus(self, cluster: Cluster) -> float:
        """GPUs of a worker: Ray hides all others from it."""
        if self._where.gpus is not None:
            return self._where.gpus
        return 1.0 if self._computes and cluster.gpus else 0.0

    @property
    def _computes(self) -> bool:
        """Whether models run in the workers."""
        return any(name.startswith(_IN_PROCESS) for name in self.settings.models.values())

    def _show(self, state: State) -> None:
        """Put the board's figures where a display reads them."""
        show(state, self.tally)
        meter, cost = self.meter, state.cost
        meter.usage = Usage(cost.prompt, cost.completion)
        meter.calls, meter.reused, meter.in_flight = cost.calls, cost.reused, cost.in_flight
        meter.loading = cost.loading
        if cost.calls:
            meter.ended = time.monotonic()
            meter.began = meter.ended if meter.began is None else meter.began
        given = self.input
        given.skipped.count, given.skipped.first = state.reading.skipped, list(state.reading.first_skipped)
        given.mixture = state.reading.mixture


async def _state(board: Any) -> State:
    """What the board says.

    Raises:
        EngineError: it is gone.
    """
    from ray.exceptions import RayError

    try:
        return cast("State", await board.state.remote())
    except RayError as error:
        raise gave_up(error) from error


def fixed(plan: Plan) -> Plan:
    """The plan with the files of now for patterns: a reader that began anew among others would cut other parcels."""
    files = {name: tuple(expanded(getattr(plan.settings, name))) for name in ("prompts", "benign")}
    return replace(plan, settings=plan.settings.model_copy(update=files))


def _started(
    plan: Plan, left: Leftovers, cluster: Cluster, workers: int, size: int, spent: int, gpus: float
) -> tuple[Any, Iterator[Done]]:
    """The board, and what comes of the parcels, as they are drawn."""
    import ray
    from ray.data import ActorPoolStrategy, DataContext, Dataset, read_datasource

    from constitution.sharded.source import Parcels

    board = ray.remote(num_cpus=0, label_selector=cluster.driver_only)(Board).remote(
        plan, workers, spent, str(Path.cwd())
    )
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.target_max_block_size = 1  # one parcel a block: a worker takes them one by one, as it gets free
    source = Parcels(Reader(fixed(plan), size, left.calls, _Teller(board)), str(Path.cwd()))
    parcels: Dataset = read_datasource(source, num_cpus=0, label_selector=cluster.driver_only)
    done = parcels.map_batches(
        Worker,
        fn_constructor_args=(board, str(Path.cwd())),
        batch_size=1,
        compute=ActorPoolStrategy(
            size=workers, max_tasks_in_flight_per_actor=PARCELS, max_concurrent_calls_per_actor=PARCELS
        ),
        num_cpus=cluster.share(workers),
        num_gpus=gpus,
    )
    return board, drawn(done)


class _Teller:
    """Tells the board how far the reader is."""

    def __init__(self, board: Any) -> None:
        self._board = board

    def __call__(self, reading: Reading) -> None:
        self._board.read.remote(reading)


def _spent(folder: Path) -> int:
    """Tokens of the finished rows."""
    with suppress(WardlawError), closing(Shards(folder)) as shards:
        return shards.tokens()
    return 0
