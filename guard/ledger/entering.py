"""Finds on their way into the ledger: what is new goes in, what is known is told, what came back opens it again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from guard.ledger.events import Amended, Entered, Event, now
from guard.ledger.file import Content, append_new, read_ledger
from guard.ledger.find import Find
from guard.ledger.state import Entry, fold, reopens


@dataclass(slots=True)
class Outcome:
    """What became of the finds."""

    entered: list[Find] = field(default_factory=list)
    reopened: list[Find] = field(default_factory=list)
    """Fixed ones that were found after they had been fixed."""
    known: list[tuple[Find, Entry]] = field(default_factory=list)
    """Passed over, each with what stands there."""
    twice: int = 0
    """Of what was given, what was given before."""
    note: str = ""
    """What was mended on the way."""


def enter(path: Path, finds: Sequence[Find]) -> Outcome:
    """Append finds that are new, in one step.

    Raises:
        LedgerFaults: what stands there is not as it was written.
        LedgerError: the file cannot be written.
    """
    outcome = Outcome()

    def made(content: Content) -> list[Event]:
        entries = fold(content.events)
        new: dict[str, Event] = {}
        given: set[str] = set()
        for find in finds:
            there = entries.get(find.id)
            if find.id in given:
                outcome.twice += 1
                continue
            given.add(find.id)
            if there is None:
                new[find.id] = Entered(at=now(), find=find)
                outcome.entered.append(find)
            elif reopens(there, find.found):
                new[find.id] = Entered(at=now(), find=find)
                outcome.reopened.append(find)
            else:
                outcome.known.append((find, there))
        return list(new.values())

    outcome.note = append_new(path, made)
    return outcome


def amend(path: Path, event: Amended) -> Entry:
    """Append an amendment.

    Returns:
        the find as it stood before.

    Raises:
        KeyError: no find has the id.
        LedgerError: the ledger cannot be used.
    """
    before: list[Entry] = []
    read_ledger(path)  # one that is not there must not be made

    def made(content: Content) -> list[Event]:
        before.append(fold(content.events)[event.id])
        return [event]

    append_new(path, made)
    return before[0]


def as_entry(find: Find) -> Entry:
    """A find as it would stand in a ledger that has nothing else."""
    return Entry(find, find.found, find.status, find.severity, find.rules, find.why)
