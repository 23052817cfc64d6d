"""What earlier runs left unfinished in a folder: their finished rows are put into shards, their calls found again."""

from __future__ import annotations

import shutil
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from constitution.row_file import FILE, StoreError
from constitution.sharded.parcel_store import GONE, ParcelStore
from constitution.sharded.plan import ROWS, WORK
from constitution.sharded.shards import HALF, ids_in, shards_of


@dataclass(slots=True)
class Leftovers:
    """The stores of parcels that were not finished, or hold rows that a model could not answer."""

    calls: dict[str, str] = field(default_factory=dict)
    """Id of an unfinished row -> name of the parcel whose store holds calls for it."""
    tokens: int = 0
    """Tokens of those calls."""


def settle(folder: Path, *, session: str = "") -> Leftovers:
    """Put the finished rows of parcels at work into shards, and say what else lies there. No worker may be at work.

    What a store holds of rows that are finished elsewhere is dropped, and with it a store that has nothing else: a row
    stands in one shard, and its calls are counted once.

    Args:
        folder: the output folder, locked.
        session: the run after which it is done, where all was settled before it.

    Raises:
        StoreError: a store or a shard is damaged, or a shard cannot be written.
    """
    left = Leftovers()
    homes = _homes(folder, session)
    for path in stores(folder):
        name = path.parent.name
        with closing(_opened(path.parent)) as store:
            store.forget({row for row in store.known() if homes.get(row, name) != name})
            store.put_away(folder, name)
            unfinished = store.unfinished()
            left.calls.update(dict.fromkeys(unfinished, name))
            left.tokens += store.tokens_of(unfinished)
            if not (unfinished or store.failures()):
                store.drop()
    work = folder / WORK
    for gone in work.glob(f"{GONE}*"):
        shutil.rmtree(gone, ignore_errors=True)
    for half in (folder / ROWS).glob(HALF):
        half.unlink(missing_ok=True)
    with suppress(OSError):  # there is none, or something is left in it
        work.rmdir()
    return left


def _homes(folder: Path, session: str) -> dict[str, str]:
    """Id of a row of which stores hold anything -> the shard or store in which it is finished.

    For one that is finished nowhere it is the last store that holds calls for it: it took over those of the others.
    """
    homes: dict[str, str] = {}
    finished: dict[str, str] = {}
    for path in stores(folder):
        with closing(_opened(path.parent)) as store:
            homes.update(dict.fromkeys(store.known(), path.parent.name))
            finished.update(dict.fromkeys(store.finished(), path.parent.name))
    homes |= finished
    if homes:
        for path in shards_of(folder):
            if path.name.startswith(session):
                homes.update(dict.fromkeys(homes.keys() & ids_in(path), path.stem))
    return homes


def _opened(folder: Path) -> ParcelStore:
    try:
        return ParcelStore(folder)
    except StoreError as error:
        if "damaged" not in error.what:
            raise
        raise StoreError(
            error.what, f"remove `{folder}` and run again: what it holds of its rows is made anew"
        ) from error


def stores(folder: Path) -> list[Path]:
    """The stores of parcels, in order."""
    return sorted(path for path in (folder / WORK).glob(f"*/{FILE}") if not path.parent.name.startswith(GONE))


def next_session(folder: Path) -> str:
    """A name for a run that sorts after those of all earlier ones: four digits."""
    names = [path.name for path in shards_of(folder)] + [path.parent.name for path in stores(folder)]
    numbers = [int(name.partition("-")[0]) for name in names if name.partition("-")[0].isdigit()]
    return f"{max(numbers, default=0) + 1:04d}"
