"""Which rows of a folder depend on rules that are not in force as they were when the row was made.

A row says of each round by which rule, and by which digest of it, it was critiqued and revised. It depends on those
rules, and on the one that the gate found broken where it was given up for that.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from constitution.candidates import STILL_BROKEN
from constitution.row import Row
from constitution.rows import Rows
from constitution.run import read_runs
from rules.digest import rule_digest
from rules.schema import Constitution

_FOUND = re.compile(r"the gate finds `([^`]+)` broken")
"""How a rejection names the rule; see `constitution.desk.broken`."""


@dataclass(slots=True)
class Dependence:
    """How many rows depend on rules that changed, and what it would cost to make them again."""

    rows: int = 0
    """All finished rows."""
    stale: int = 0
    """Those that depend on a rule that changed or is gone."""
    accepted: int = 0
    """Of the stale ones, those that stand accepted."""
    calls: int = 0
    """About how many model calls their making again takes: as many as they took, without the first answers, which
    are kept."""
    rules: Counter[str] = field(default_factory=Counter)
    """Rule -> stale rows that depend on it; a row may depend on several."""

    def add(self, row: Row, stale: tuple[str, ...]) -> None:
        """Count a row."""
        self.rows += 1
        if stale:
            self.stale += 1
            self.accepted += row.status == "accepted"
            self.calls += sum(call.stage != "answer" for call in row.calls)
            self.rules.update(stale)


class InForce:
    """Tells of rows whether the rules that they depend on are in force as they were."""

    def __init__(self, folder: Path, constitution: Constitution) -> None:
        """Args: folder: where the rows are. constitution: the rules that are in force.

        Raises:
            RunError: the folder's run.json is damaged.
        """
        self._digests = {rule.id: rule_digest(rule) for rule in constitution}
        # A rule that the gate alone saw stands in the row by its id; its digest is that of the run.
        self._then: Mapping[str, Mapping[str, str]] = {run.constitution: run.rules for run in read_runs(folder)}

    def stale(self, row: Row) -> tuple[str, ...]:
        """Ids of the rules that the row depends on and that are otherwise now, each once."""
        used = [(round_.rule, round_.rule_digest) for round_ in row.rounds]
        then = self._then.get(row.constitution, {})
        used += [(rule, then.get(rule, self._digests.get(rule, ""))) for rule in _found(row)]
        return tuple(dict.fromkeys(rule for rule, digest in used if self._digests.get(rule) != digest))


def _found(row: Row) -> Iterator[str]:
    """The rule that the gate found broken in the end."""
    if row.rejection is not None and row.rejection.reason == STILL_BROKEN:
        yield from _FOUND.findall(row.rejection.detail)[:1]


def depending(folder: Path, store: Rows, constitution: Constitution) -> Dependence:
    """Count the rows of a folder that depend on rules which are otherwise in `constitution`.

    Raises:
        RunError, StoreError: the folder cannot be read.
    """
    in_force = InForce(folder, constitution)
    counted = Dependence()
    for row in store.rows():
        counted.add(row, in_force.stale(row))
    return counted
