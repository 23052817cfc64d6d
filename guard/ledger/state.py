"""What the events of a ledger come to: each find with what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

from guard.ledger.events import Amended, Entered, Event, Replayed, Status
from guard.ledger.find import Find, How
from rules.actions import Severity


@dataclass(frozen=True, slots=True)
class Change:
    """A find's status became another one."""

    at: datetime
    status: Status
    by: str
    why: str
    """`amended`, `replayed` or `found again`; behind a colon, a note."""


@dataclass(slots=True)
class Entry:
    """A find, and what became of it."""

    find: Find
    at: datetime
    """When it was entered."""
    status: Status
    severity: Severity
    rules: tuple[str, ...]
    why: str
    changes: list[Change] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    again: list[Find] = field(default_factory=list)
    """The finds of the same text after the first."""

    @property
    def fixed(self) -> datetime | None:
        """When it was fixed first; None where it never was."""
        return next((change.at for change in self.changes if change.status == "fixed"), None)

    @property
    def recurrences(self) -> int:
        """How often it was open again after it had been fixed."""
        statuses = [change.status for change in self.changes]
        return sum(before == "fixed" and after == "open" for before, after in pairwise(statuses))

    def turn(self, status: Status, at: datetime, by: str, why: str) -> None:
        """Give it another status."""
        if status != self.status:
            self.status = status
            self.changes.append(Change(at, status, by, why))


def fold(events: Sequence[Event]) -> dict[str, Entry]:
    """Find id -> entry, in the order in which they were entered.

    Events count in the order of their times, not of their lines: where branches were merged, lines of one stand behind
    all lines of the other.
    """
    entries: dict[str, Entry] = {}
    later: list[Event] = []
    for event in sorted(events, key=lambda each: each.at):
        if not isinstance(event, Entered) or event.find.id in entries:
            later.append(event)
        else:
            find = event.find
            entry = Entry(find, event.at, find.status, find.severity, find.rules, find.why)
            entries[find.id] = entry
    for event in later:
        match event:
            case Entered():
                _again(entries[event.find.id], event)
            case Amended():
                _amend(entries[event.id], event)
            case Replayed():
                _settle(entries, event)
    return entries


def reopens(entry: Entry, found: datetime) -> bool:
    """Whether a find of the same text says that it came back: it was fixed before it was found again."""
    return entry.status == "fixed" and found > entry.changes[-1].at


def settled_by(kind: str) -> How:
    """Which finds a replay against a gate, a model or a guard can settle."""
    return "text" if kind == "gate" else "ask"


def _again(entry: Entry, event: Entered) -> None:
    entry.again.append(event.find)
    if reopens(entry, event.find.found):
        entry.turn("open", event.find.found, event.find.by, "found again")


def _amend(entry: Entry, event: Amended) -> None:
    if event.severity is not None:
        entry.severity = event.severity
    if event.rules is not None:
        entry.rules = event.rules
    if event.why is not None:
        entry.why = event.why
    if event.note:
        entry.notes.append(event.note)
    if event.status is not None:
        entry.turn(event.status, event.at, event.by, f"amended: {event.note}" if event.note else "amended")


def _settle(entries: dict[str, Entry], event: Replayed) -> None:
    if not event.settles:
        return
    how = settled_by(event.target.kind)
    for status, names, before in (("fixed", event.holds, "open"), ("open", event.breaks, "fixed")):
        for name in names:
            entry = entries[name]
            if entry.status == before and entry.find.how == how:
                entry.turn("fixed" if status == "fixed" else "open", event.at, event.by, "replayed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which finds; what is empty does not count."""

    ids: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    kind: str | None = None
    rules: tuple[str, ...] = ()
    """Finds with one of these."""
    severity: tuple[str, ...] = ()
    source: tuple[str, ...] = ()
    by: str | None = None
    since: datetime | None = None
    """Found from then on."""
    until: datetime | None = None
    """Found before then."""


def chosen(entries: Iterable[Entry], filters: Filters) -> list[Entry]:
    """The entries that are meant."""
    return [entry for entry in entries if _is_meant(entry, filters)]


def _is_meant(entry: Entry, filters: Filters) -> bool:
    find = entry.find
    return (
        (not filters.ids or find.id in filters.ids)
        and (not filters.status or entry.status in filters.status)
        and (filters.kind is None or find.kind == filters.kind)
        and (not filters.rules or not set(filters.rules).isdisjoint(entry.rules))
        and (not filters.severity or entry.severity in filters.severity)
        and (not filters.source or find.source in filters.source)
        and (filters.by is None or find.by == filters.by)
        and (filters.since is None or find.found >= filters.since)
        and (filters.until is None or find.found < filters.until)
    )
