"""What earlier runs left unfinished in a folder: their finished rows are put into shards, their calls found again."""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from constitution.row_file import FILE
from constitution.sharded.parcel_store import ParcelStore
from constitution.sharded.plan import WORK
from constitution.sharded.shards import shards_of, write_shard


@dataclass(slots=True)
class Leftovers:
    """The stores of parcels that were not finished, or hold rows that a model could not answer."""

    calls: dict[str, str] = field(default_factory=dict)
    """Id of an unfinished row -> name of the parcel whose store holds calls for it."""
    tokens: int = 0
    """Tokens of those calls."""


def settle(folder: Path) -> Leftovers:
    """Put the finished rows of parcels at work into shards, and say what else lies there. No worker may be at work.

    Args:
        folder: the output folder, locked.

    Raises:
        StoreError: a store is damaged, or a shard cannot be written.
    """
    left = Leftovers()
    for path in stores(folder):
        name = path.parent.name
        with closing(ParcelStore(path.parent)) as store:
            write_shard(folder, name, store.placed(), store.run)
            unfinished = store.unfinished()
            left.calls.update(dict.fromkeys(unfinished, name))
            left.tokens += store.tokens_of(unfinished)
            keep = bool(unfinished or store.failures())
        if not keep:
            shutil.rmtree(path.parent)
    return left


def clear(folder: Path, session: str) -> None:
    """After a run that went through its whole input: drop the stores of earlier runs; what was of use was carried."""
    for path in stores(folder):
        if not path.parent.name.startswith(f"{session}-"):
            shutil.rmtree(path.parent)
    work = folder / WORK
    if work.is_dir() and not any(work.iterdir()):
        work.rmdir()


def stores(folder: Path) -> list[Path]:
    """The stores of parcels, in order."""
    return sorted((folder / WORK).glob(f"*/{FILE}"))


def next_session(folder: Path) -> str:
    """A name for a run that sorts after those of all earlier ones: four digits."""
    names = [path.name for path in shards_of(folder)] + [path.parent.name for path in stores(folder)]
    numbers = [int(name.partition("-")[0]) for name in names if name.partition("-")[0].isdigit()]
    return f"{max(numbers, default=0) + 1:04d}"
