"""What red teaming came to over time: what was found, by whom, how long it stood open, what came back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from guard.ledger.events import STATUSES, Event, Replayed
from guard.ledger.state import Entry
from guard.training.metrics import Interval, share

_DAY_S = 86_400.0
NO_RULE = "(no rule)"


@dataclass(frozen=True, slots=True)
class Group:
    """Finds that share something."""

    name: str
    total: int
    breaks: int
    alarms: int
    statuses: dict[str, int]
    fixed: Interval | None
    """The share that is fixed."""
    days: float | None
    """Median days from find to fix, of those ever fixed."""


@dataclass(frozen=True, slots=True)
class Run:
    """A recorded replay."""

    at: datetime
    kind: str
    name: str
    constitution: str
    gate: str
    model: str | None
    settles: bool
    breaks_found: Interval | None
    """The share of the breaks that hold."""
    alarms_gone: Interval | None
    """The share of the false alarms that hold."""
    untold: int
    """Finds of which it could not be told."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The report."""

    at: datetime
    whole: Group
    by: dict[str, tuple[Group, ...]]
    """`rule`, `severity`, `source`, `by`, `model`, `month` -> groups, the largest first; months in order."""
    came_back: Interval | None
    """Of the finds ever fixed, the share that was open again."""
    again: int
    """Finds that were found more than once."""
    oldest: tuple[Entry, ...]
    """The open ones that have stood longest."""
    fix_days: tuple[float, ...]
    """Days from find to first fix, sorted."""
    runs: tuple[Run, ...]
    """In order of time."""

    def quantile(self, part: float) -> float | None:
        """Days within which this part of those fixed was fixed; None where none was."""
        return quantile(self.fix_days, part)


def summarise(entries: Sequence[Entry], events: Iterable[Event], at: datetime, *, most: int = 10) -> Summary:
    """Count it all.

    Args:
        entries: the finds that are meant.
        events: of the whole ledger.
        at: now.
        most: how many of the oldest open ones to name.
    """
    ever = [entry for entry in entries if entry.fixed is not None]
    waiting = sorted((entry for entry in entries if entry.status == "open"), key=lambda entry: entry.find.found)
    return Summary(
        at=at,
        whole=_group("all", entries),
        by={
            "rule": _groups(entries, lambda entry: entry.rules or (NO_RULE,)),
            "severity": _groups(entries, lambda entry: (str(entry.severity),)),
            "source": _groups(entries, lambda entry: (entry.find.source,)),
            "by": _groups(entries, lambda entry: (entry.find.by,)),
            "model": _groups(entries, lambda entry: (entry.find.model,) if entry.find.model else ()),
            "month": tuple(
                sorted(
                    _groups(entries, lambda entry: (entry.find.found.astimezone(UTC).strftime("%Y-%m"),)),
                    key=lambda group: group.name,
                )
            ),
        },
        came_back=share(sum(entry.recurrences > 0 for entry in ever), len(ever)),
        again=sum(bool(entry.again) for entry in entries),
        oldest=tuple(waiting[:most]),
        fix_days=_days(entries),
        runs=_runs(entries, events),
    )


def quantile(ordered: Sequence[float], part: float) -> float | None:
    """The value below which a part of them lies, between neighbours by their distance; None of none."""
    if not ordered:
        return None
    place = part * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def _days(entries: Iterable[Entry]) -> tuple[float, ...]:
    """A find may be entered with a date that lies behind its fix only by a slip of a clock: that counts as none."""
    spans = ((entry.find.found, entry.fixed) for entry in entries)
    return tuple(sorted(max(0.0, (fixed - found).total_seconds() / _DAY_S) for found, fixed in spans if fixed))


def _group(name: str, entries: Sequence[Entry]) -> Group:
    kinds = Counter(entry.find.kind for entry in entries)
    statuses = Counter(entry.status for entry in entries)
    return Group(
        name,
        len(entries),
        kinds["break"],
        kinds["false-alarm"],
        {status: statuses[status] for status in STATUSES},
        share(statuses["fixed"], len(entries)),
        quantile(_days(entries), 0.5),
    )


def _groups(entries: Iterable[Entry], names: Callable[[Entry], Iterable[str]]) -> tuple[Group, ...]:
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        for name in names(entry):
            found.setdefault(name, []).append(entry)
    groups = (_group(name, members) for name, members in found.items())
    return tuple(sorted(groups, key=lambda group: (-group.total, group.name)))


def _runs(entries: Iterable[Entry], events: Iterable[Event]) -> tuple[Run, ...]:
    kinds = {entry.find.id: entry.find.kind for entry in entries}
    runs = []
    for event in sorted((each for each in events if isinstance(each, Replayed)), key=lambda each: each.at):
        holds = Counter(kinds[name] for name in event.holds if name in kinds)
        breaks = Counter(kinds[name] for name in event.breaks if name in kinds)
        untold = sum(name in kinds for name in (*event.unsure, *event.failed))
        if not holds and not breaks and not untold:
            continue
        target = event.target
        rates = [share(holds[kind], holds[kind] + breaks[kind]) for kind in ("break", "false-alarm")]
        runs.append(
            Run(
                event.at,
                target.kind,
                target.name,
                target.constitution,
                target.gate,
                target.model,
                event.settles,
                rates[0],
                rates[1],
                untold,
            )
        )
    return tuple(runs)
