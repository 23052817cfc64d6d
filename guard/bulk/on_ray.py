"""Units judged by actors of a Ray cluster, which Ray Data feeds.

An actor that dies is begun anew by Ray and its unit is given again; the marks (see `marks`) see to it that no unit dies
for ever. Files are read on this process's node. The output folder has to be there on every node.
"""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from guard.bulk.folder import WORK, BulkError
from guard.bulk.local import units
from guard.bulk.work import Done, Plan, Worker
from guard.cluster import connected
from guard.whole_file import write
from rules.errors import WardlawError

_READERS = 8
"""Tasks that read at most. One reads and cuts more than a hundred megabytes a second."""
_AHEAD = 2
"""Units that an actor has been given at most: the one at work, and one that waits for it."""
_PLAN = "plan"


def dones(
    plan: Plan,
    files: Sequence[str],
    about: int,
    *,
    address: str | None = None,
    workers: int | None = None,
    gpus: float = 0.0,
) -> Iterator[Done]:
    """What comes of the units of all files, in the order in which they are finished.

    Args:
        plan: what every worker is told.
        files: what is judged.
        about: lines a unit.
        address: of a cluster; None begins one on this machine.
        workers: actors, each with a gate of its own; one a processor where left out.
        gpus: GPUs of an actor.

    Raises:
        ClusterError: no cluster can be had.
        WardlawError: the run has to stop; finished units are kept.
    """
    with connected(address) as cluster:
        from ray.data import ActorPoolStrategy, DataContext, from_items
        from ray.exceptions import RayError

        count = workers or max(1, int(cluster.gpus / gpus) if gpus else cluster.cpus)
        context = DataContext.get_current()
        context.enable_progress_bars = False
        context.target_max_block_size = 1  # one unit a block: an actor takes them one by one, as it gets free
        cwd = str(Path.cwd())
        plan = replace(plan, folder=plan.folder.resolve())
        groups = [{"files": pickle.dumps(files[start::_READERS])} for start in range(min(_READERS, len(files)))]
        given = from_items(groups, override_num_blocks=len(groups)).map_batches(
            _Reader(about, cwd), batch_size=1, num_cpus=0, label_selector=cluster.driver_only
        )
        judged = given.map_batches(
            Actor,
            fn_constructor_args=(str(plan.folder), _kept(plan), cwd),
            batch_size=1,
            compute=ActorPoolStrategy(size=count, max_tasks_in_flight_per_actor=_AHEAD),
            num_cpus=cluster.share(count),
            num_gpus=gpus,
        )
        try:
            for batch in judged.iter_batches(batch_size=None, prefetch_batches=0, batch_format="pyarrow"):
                for data in batch.column("done").to_pylist():
                    done: Done = pickle.loads(data)  # noqa: S301  # of an actor of this run
                    if done.fatal:
                        raise WardlawError(done.error, done.hint)
                    yield done
        except RayError as error:
            what = " ".join(str(error).split())[:400]
            raise BulkError(f"Ray gave up: {what}", "see its logs in /tmp/ray; run again to go on") from None


class _Reader:
    """Reads files and gives their units."""

    def __init__(self, about: int, cwd: str) -> None:
        self.__name__ = "read"
        self._about = about
        self._cwd = cwd

    def __call__(self, batch: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        os.chdir(self._cwd)
        for data in batch["files"]:
            for unit in units(pickle.loads(data), self._about):  # noqa: S301  # of this run's driver
                yield {"unit": [pickle.dumps(unit)]}


class Actor:
    """A worker in a process of its own, perhaps on another machine."""

    def __init__(self, folder: str, digest: str, cwd: str) -> None:
        """Args: digest: of the plan, which lies in the folder; cwd: in which paths mean what the user meant."""
        with suppress(OSError):
            os.chdir(cwd)
        self._folder = Path(folder)
        self._digest = digest
        self._worker: Worker | None = None

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Judge units; Ray Data gives one at a time."""
        return {"done": [pickle.dumps(self._take(data)) for data in batch["unit"]]}

    def _take(self, data: bytes) -> Done:
        unit = pickle.loads(data)  # noqa: S301  # of a reader of this run
        try:
            if self._worker is None:
                # One thread: there is an actor a processor, and threads of one would take the time of the others.
                self._worker = Worker(_plan(self._folder, self._digest), threads=1)
            return self._worker.take(unit)
        except WardlawError as error:
            return Done("", unit.file, error=error.what, hint=error.hint, fatal=True)
        except Exception as error:  # whatever it is, it has to reach the driver, which ends the run with it
            what = f"{type(error).__name__}: {error}"
            return Done("", unit.file, error=what, hint="this is a fault of wardlaw itself; run again", fatal=True)


def _kept(plan: Plan) -> str:
    """Put the plan into the folder, where actors find it whenever they begin; its digest."""
    # Not as an argument of the actors: Ray keeps a large one in its store, and cannot begin an actor anew without it.
    data = pickle.dumps(plan)
    write(plan.folder / WORK / _PLAN, data)
    return hashlib.blake2b(data).hexdigest()


def _plan(folder: Path, digest: str) -> Plan:
    try:
        data = (folder / WORK / _PLAN).read_bytes()
    except OSError as error:
        raise BulkError(
            f"a worker does not see `{folder}`: {error.strerror or error}",
            "the --out folder must lie on a file system that all nodes of the cluster share",
        ) from error
    if hashlib.blake2b(data).hexdigest() != digest:
        raise BulkError(f"`{folder}` has the plan of another run", "let one run at a time work in a folder")
    plan: Plan = pickle.loads(data)  # noqa: S301  # its digest came from the driver
    return plan
