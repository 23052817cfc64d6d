"""What a worker does with a unit, in whatever process it stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from guard.bulk import scoring, shard
from guard.bulk.folder import SHARDS, WORK, BulkError
from guard.bulk.marks import Marks
from guard.bulk.tally import Tally
from guard.bulk.unit import Unit
from guard.gate import Gate


@dataclass(frozen=True, slots=True)
class Plan:
    """What every worker of a run is told."""

    folder: Path
    build: Callable[[int | None], Gate]
    """Makes the gate; its argument is how many threads an encoder may use, None for all."""
    gate: str
    """Identity of the gate that the run is for."""
    hazards: str | None = None
    lines: bool = False
    """Whether shards are written as JSON lines too."""


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a unit."""

    name: str
    file: str
    tally: Tally = field(default_factory=Tally)
    kept: bool = False
    """Whether its shard was there before, at this place or another."""
    error: str = ""
    """Set where the file could not be read on, or the run has to stop."""
    hint: str = ""
    fatal: bool = False
    """Whether no other unit would fare better."""


class Worker:
    """Judges units, each into its shard. The gate is made when the first unit needs it."""

    def __init__(self, plan: Plan, gate: Gate | None = None, threads: int | None = None) -> None:
        """A worker of a plan.

        Args:
            plan: what it is told.
            gate: one that is made already; it stays its owner's to close.
            threads: for the encoder of a gate that is made here.
        """
        self._plan = plan
        self._gate = gate
        self._threads = threads

    def take(self, unit: Unit) -> Done:
        """Judge a unit, unless its shard is there.

        Raises:
            BulkError: this worker makes another gate than the run is for, or the folder cannot be written.
            WardlawError: the gate cannot be made.
        """
        if unit.error:
            return Done("", unit.file, error=unit.error)
        folder = self._plan.folder / SHARDS
        path = folder / f"{unit.name}.parquet"
        try:
            tally = self._kept(unit, path)
            kept = tally is not None
            if tally is None:
                tally = self._judge(unit, path)
            if self._plan.lines and not (lines := folder / f"{unit.name}.jsonl.gz").exists():
                shard.put_lines(lines, path, self._plan.hazards)
        except OSError as error:
            raise BulkError(
                f"`{self._plan.folder}` cannot be written: {error.strerror or error}",
                "the folder has to be there, with room, on every node of a cluster: run again to go on",
            ) from error
        return Done(unit.name, unit.file, tally, kept)

    def _kept(self, unit: Unit, path: Path) -> Tally | None:
        """The tally of a shard that holds these lines, put to their place."""
        import pyarrow as pa

        try:
            if path.exists():
                return shard.tally_of(path)[1]
            for other in path.parent.glob(f"{unit.content}-*.parquet"):
                return shard.put_elsewhere(other, path, unit)
        except (pa.ArrowException, KeyError, ValueError, FileNotFoundError):
            path.unlink(missing_ok=True)  # damaged, or gone meanwhile: made anew
        return None

    def _judge(self, unit: Unit, path: Path) -> Tally:
        gate = self._opened()  # before the mark: a gate that cannot be made is no line's fault
        marks = Marks(self._plan.folder / WORK, unit.name)
        tally = shard.put(path, unit.file, scoring.judge(unit, gate, marks, self._plan.hazards))
        marks.clear()
        return tally

    def _opened(self) -> Gate:
        if self._gate is None:
            gate = self._plan.build(self._threads)
            if gate.identity != self._plan.gate:
                gate.close()
                raise BulkError(
                    "a worker makes another gate than this command",
                    "the nodes need the same version, encoder and heads: compare `pip list` and the models' files",
                )
            self._gate = gate
        return self._gate
