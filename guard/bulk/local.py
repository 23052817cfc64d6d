"""Units judged in this process, one after another, by one gate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from guard.bulk.files import read
from guard.bulk.unit import Unit, cut
from guard.bulk.work import Done, Plan, Worker
from guard.gate import Gate
from guard.training.rows import LabelError


def dones(plan: Plan, files: Sequence[str], about: int, gate: Gate) -> Iterator[Done]:
    """What comes of the units of all files.

    Raises:
        WardlawError: the run has to stop.
    """
    worker = Worker(plan, gate)
    for unit in units(files, about):
        yield worker.take(unit)


def units(files: Sequence[str], about: int) -> Iterator[Unit]:
    """The units of files; where one cannot be read on, a unit that says so, and the next file."""
    for file in files:
        try:
            yield from cut(file, read(file), about)
        except LabelError as error:
            yield Unit(file, (), "", error.what)
