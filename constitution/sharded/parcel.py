"""A run of prompts that one worker takes, and what came of it."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import Any

from constitution.prompt import Prompt
from rules.errors import WardlawError

SMALLEST, LARGEST = 16, 1024
"""Prompts of a parcel. A shard of a thousand rows is some megabytes: a hundred million rows are a hundred thousand."""
_PER_WORKER = 8
"""Parcels a worker should come to get where there are few prompts, so that all end at about the same time."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A run of prompts. Its name is the same whenever the run's input is cut anew."""

    name: str
    prompts: tuple[tuple[int, Prompt], ...]
    """Place in the input and prompt."""
    carry: tuple[str, ...] = ()
    """Names of the parcels of earlier runs in whose stores calls for these prompts lie."""
    error: WardlawError | None = None
    """Set where the input could not be read on: nothing else is in this parcel, and none comes after it."""


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a parcel."""

    name: str
    accepted: int = 0
    rejected: int = 0
    failed: int = 0
    last_failure: str = ""
    spent: WardlawError | None = None
    """Set where the budget was spent before the parcel was finished."""
    error: WardlawError | None = None
    """Set where the run has to stop."""

    @property
    def whole(self) -> bool:
        """Whether the worker went through it to its end."""
        return self.spent is None and self.error is None


def size_of(total: int | None, workers: int) -> int:
    """How many prompts a parcel takes, where `total` are to come, None for unknown."""
    if total is None:
        return LARGEST // 4
    return max(SMALLEST, min(LARGEST, total // (workers * _PER_WORKER)))


def packed(item: Parcel | Done) -> bytes:
    """As it travels between the processes of one run, which are all of one version."""
    return pickle.dumps(item)


def unpacked(data: bytes) -> Any:
    """What `packed` was given."""
    return pickle.loads(data)  # noqa: S301  # written by a process of this run


def told(error: BaseException) -> WardlawError:
    """The error as it can travel: its class may need more than its words to be made again.

    Anything but a WardlawError is a fault of ours and keeps its type's name.
    """
    if isinstance(error, WardlawError):
        return WardlawError(error.what, error.hint)
    return WardlawError(f"{type(error).__name__}: {error}", "this is a fault of wardlaw itself; the rows are kept")
