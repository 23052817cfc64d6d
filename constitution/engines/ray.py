"""The engine of many processes or machines: Ray Data streams parcels of prompts through workers.

See constitution/sharded for the pieces, docs/scale.md for what it is for.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from constitution.calls import BudgetSpent
from constitution.duplicates import REASON, reject_duplicates
from constitution.engines import EngineError, Where
from constitution.export import export
from constitution.formats.files import write_text
from constitution.generate import REMOTE_ROWS, Generation, Outcome
from constitution.output import keep_output, read_output
from constitution.row_file import FILE
from constitution.run import locked
from constitution.settings import Settings
from constitution.sharded.board import Board, Reading, State, show
from constitution.sharded.leftovers import Leftovers, clear, next_session, settle
from constitution.sharded.parcel import Done, size_of, unpacked
from constitution.sharded.plan import MARK, Plan
from constitution.sharded.reader import FINISHED, Reader, index_finished
from constitution.sharded.shards import Shards, made_in
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
                clear(settings.out, plan.session)
            except BudgetSpent as error:
                spent = error
            finally:
                self.meter.loading = False
                (settings.out / MARK).unlink(missing_ok=True)
                (settings.out / FINISHED).unlink(missing_ok=True)
                settle(settings.out)  # what stopped workers had finished
                self.tally.accepted, self.tally.rejected = made_in(settings.out, plan.session)
            with closing(Shards(settings.out, read_only=False)) as shards:
                reject_duplicates(shards)
                exported = export(settings.out, shards, names=settings.formats, given=settings.output)
                return Outcome(exported, shards.reasons().get(REASON, 0), spent)

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
            board, dones = _started(plan, left, cluster, workers, size, self.meter.before, self._where.gpus)
            drive = _Drive(dones)
            try:
                while not drive.ended.is_set():
                    await asyncio.to_thread(drive.ended.wait, _LOOK_S)
                    state: State = await board.state.remote()
                    self._show(state)
                    if state.hopeless:
                        raise WardlawError(
                            state.hopeless, "see the logs of the workers (in /tmp/ray), mend it and run again"
                        )
                self._show(await board.state.remote())
            finally:
                drive.stop()
            drive.tell()

    def _workers(self, cluster: Cluster) -> int:
        if self._where.workers is not None:
            return self._where.workers
        in_process = any(name.startswith(_IN_PROCESS) for name in self.settings.models.values())
        return max(1, cluster.gpus if in_process else cluster.cpus)

    def _show(self, state: State) -> None:
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


class _Drive:
    """Draws what comes of the parcels on a thread: Ray Data works only while somebody draws."""

    def __init__(self, dones: Iterator[Done]) -> None:
        self.ended = threading.Event()
        self._dones = dones
        self._stopped = False
        self._spent: WardlawError | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._draw, name="wardlaw-ray", daemon=True)
        self._thread.start()

    def _draw(self) -> None:
        try:
            for done in self._dones:
                if done.error is not None:
                    self._error = done.error
                if done.spent is not None:
                    self._spent = done.spent
                if self._stopped or not done.whole:
                    break
        except BaseException as error:  # told on the other thread
            self._error = error
        finally:
            self.ended.set()

    def stop(self) -> None:
        """Draw no more."""
        self._stopped = True

    def tell(self) -> None:
        """Raise what ended the run before its end.

        Raises:
            BudgetSpent, WardlawError: as a worker, or the reader, told it.
        """
        if isinstance(self._error, WardlawError):
            raise self._error
        if self._error is not None:
            what = " ".join(str(self._error).split())
            raise EngineError(f"Ray gave up: {what[:400]}", "see its logs in /tmp/ray; run again to go on") from None
        if self._spent is not None:
            raise BudgetSpent(self._spent.what, self._spent.hint)


def _started(
    plan: Plan, left: Leftovers, cluster: Cluster, workers: int, size: int, spent: int, gpus: float
) -> tuple[Any, Iterator[Done]]:
    """The board, and what comes of the parcels, as they are drawn."""
    import ray
    from ray.data import ActorPoolStrategy, DataContext, Dataset, read_datasource

    from constitution.sharded.source import Parcels

    board = ray.remote(num_cpus=0, label_selector=cluster.driver_only)(Board).remote(plan, workers, spent)
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.target_max_block_size = 1  # one parcel a block: a worker takes them one by one, as it gets free
    source = Parcels(Reader(plan, size, left.calls, _Teller(board)), str(Path.cwd()))
    parcels: Dataset = read_datasource(source, num_cpus=0, label_selector=cluster.driver_only)
    done = parcels.map_batches(
        Worker,
        fn_constructor_args=(board, str(Path.cwd())),
        batch_size=1,
        compute=ActorPoolStrategy(
            size=workers, max_tasks_in_flight_per_actor=PARCELS, max_concurrent_calls_per_actor=PARCELS
        ),
        num_cpus=1 if cluster.cpus >= workers else cluster.cpus / workers,
        num_gpus=gpus,
    )
    return board, _drawn(done)


def _drawn(done: Any) -> Iterator[Done]:
    for batch in done.iter_batches(batch_size=None, prefetch_batches=0, batch_format="pyarrow"):
        for data in batch.column("done").to_pylist():
            yield unpacked(data)


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
