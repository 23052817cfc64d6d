"""A run of lines that is judged in one piece, cut where the lines themselves say so.

Cut by count, a line put in at the head of a file would move every border after it, and all would be judged again. Here
the lines that end a unit are known by their own content, so that a change reaches as far as the next of them.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from guard.bulk.files import Raw

ABOUT = 1024
"""Lines of a unit, about: seconds to a minute of a worker's time, and a hundred million lines are a hundred thousand
shards."""
_FEWEST = 16
_UNITS = 64
"""Units that a small input should make, for workers to share."""
_BYTES = 8 * 2**20
"""Bytes after which a unit ends however few lines it has: it travels whole, and is held whole."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Lines that follow each other in one file."""

    file: str
    lines: tuple[Raw, ...]
    content: str
    """Digest of the lines."""
    error: str = ""
    """Set where the file cannot be read on from here; then there are no lines."""

    @property
    def name(self) -> str:
        """What its shard is called: what the lines say, and where they stand."""
        return f"{self.content}-{_place(self.file, [raw.number for raw in self.lines])}"


def cut(file: str, lines: Iterable[Raw], about: int = ABOUT) -> Iterator[Unit]:
    """The units of a file; the same lines give the same units.

    Args:
        file: its name, as places are told by it.
        lines: all that are not blank.
        about: how many a unit has, on the average; twice as many at most.
    """
    least = max(1, about // 4)
    # Past the least length, a line ends its unit by a chance that makes `about` the mean.
    chance = max(1, about - least)
    waiting: list[Raw] = []
    size = 0
    for raw in lines:
        waiting.append(raw)
        size += len(raw.data)
        full = len(waiting) >= 2 * about or size >= _BYTES
        if full or (len(waiting) >= least and zlib.crc32(raw.data) % chance == 0):
            yield _unit(file, waiting)
            waiting, size = [], 0
    if waiting:
        yield _unit(file, waiting)


def size_for(bytes_in: int) -> int:
    """How many lines a unit should have, about: fewer where there is little to judge, so that all workers get some.

    Of the input alone: whatever engine judges it, with however many workers, the shards are the same.
    """
    lines = bytes_in // 500  # a line of a few hundred bytes is usual, and the answer need not be right
    return max(_FEWEST, min(ABOUT, lines // _UNITS))


def _unit(file: str, lines: list[Raw]) -> Unit:
    digest = hashlib.blake2b(digest_size=12)
    for raw in lines:
        digest.update(b"%d:" % raw.size + raw.data)
    return Unit(file, tuple(lines), digest.hexdigest())


def _place(file: str, numbers: list[int]) -> str:
    told = f"{file}\n{numbers}".encode("utf-8", "surrogateescape")
    return hashlib.blake2b(told, digest_size=4).hexdigest()
