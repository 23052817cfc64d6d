"""How far a run is: what the reader and the workers tell the board, and what the driver is told by it."""

from __future__ import annotations

from dataclasses import dataclass, field

from constitution.pipeline import Tally
from constitution.prompt import Mixture


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

    def add(self, other: Cost) -> None:
        """Count that in; `loading` stays."""
        self.prompt += other.prompt
        self.completion += other.completion
        self.calls += other.calls
        self.reused += other.reused
        self.in_flight += other.in_flight


@dataclass(slots=True)
class Progress:
    """How far a parcel is, whichever worker has it."""

    accepted: int = 0
    rejected: int = 0
    failed: int = 0
    open: int = 0
    last_failure: str = ""

    def add(self, other: Progress) -> None:
        """Count that in."""
        self.accepted += other.accepted
        self.rejected += other.rejected
        self.failed += other.failed
        self.open += other.open
        self.last_failure = other.last_failure or self.last_failure


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
