"""What a replay says of each find, what has changed, and how often it holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from guard.ledger.events import Target
from guard.ledger.find import Find, Kind, held_out
from guard.ledger.state import Entry
from guard.training.metrics import Interval, share
from guard.verdict import Verdict

State: TypeAlias = Literal["holds", "breaks", "unsure", "failed"]
"""`holds`: the break is found, the harmless text passes. `breaks`: not so."""
STATES: tuple[State, ...] = get_args(State)

Change: TypeAlias = Literal["fixed", "open", "regressed", "held", "accepted", "unsure", "failed"]
"""Against what the ledger says. `fixed`: open there, and holds. `open`: open there, and breaks. `regressed`: fixed
there, and breaks. `held`: fixed or accepted there, and holds. `accepted`: accepted there, and breaks."""
CHANGES: tuple[Change, ...] = get_args(Change)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one find."""

    state: State
    rules: tuple[str, ...] = ()
    """Rules found broken."""
    why: str = ""
    """Why it could not be told, or what the model said."""


@dataclass(frozen=True, slots=True)
class Column:
    """A replay of all finds against one target."""

    target: Target
    outcomes: Mapping[str, Outcome]
    """Find id -> outcome."""

    def count(self, entries: Iterable[Entry]) -> Counter[State]:
        """How many of these come to what."""
        return Counter(self.outcomes[entry.find.id].state for entry in entries)

    def rate(self, entries: Sequence[Entry], kind: Kind) -> Interval | None:
        """The share of the finds of a kind that hold, among those of which it can be told; None of nothing."""
        counts = self.count(entry for entry in entries if entry.find.kind == kind)
        return share(counts["holds"], counts["holds"] + counts["breaks"])


@dataclass(frozen=True, slots=True)
class Replay:
    """All columns."""

    entries: tuple[Entry, ...]
    columns: tuple[Column, ...]
    """At least one; the last one is what is so today."""
    hold_out: float = 0.0
    """Share of the finds that was kept from teaching."""

    @property
    def today(self) -> Column:
        """The last column."""
        return self.columns[-1]

    def changes(self) -> dict[Change, list[Entry]]:
        """The finds by what has changed against the ledger, in the last column."""
        found: dict[Change, list[Entry]] = {change: [] for change in CHANGES}
        for entry in self.entries:
            found[change_of(entry.status, self.today.outcomes[entry.find.id].state)].append(entry)
        return found

    def between(self, place: int) -> dict[Literal["fixed", "regressed"], list[Entry]]:
        """The finds that column `place` has otherwise than the one before it."""
        before, after = self.columns[place - 1].outcomes, self.columns[place].outcomes
        pairs = [(entry, before[entry.find.id].state, after[entry.find.id].state) for entry in self.entries]
        return {
            "fixed": [entry for entry, old, new in pairs if (old, new) == ("breaks", "holds")],
            "regressed": [entry for entry, old, new in pairs if (old, new) == ("holds", "breaks")],
        }

    def regressed(self) -> list[Entry]:
        """Finds that break today and are fixed in the ledger, or held in the column before; accepted ones are not."""
        found = {entry.find.id: entry for entry in self.changes()["regressed"]}
        if len(self.columns) > 1:
            worse = self.between(len(self.columns) - 1)["regressed"]
            found |= {entry.find.id: entry for entry in worse if entry.status != "accepted"}
        return list(found.values())

    def sides(self) -> dict[str, list[Entry]]:
        """`taught` and `held out`, where a share was held out; else all under one name."""
        if not self.hold_out:
            return {"all": list(self.entries)}
        sides: dict[str, list[Entry]] = {"taught": [], "held out": []}
        for entry in self.entries:
            sides["held out" if held_out(entry.find.id, self.hold_out) else "taught"].append(entry)
        return sides


def change_of(status: str, state: State) -> Change:
    """What an outcome is against a status of the ledger."""
    match status, state:
        case _, "unsure" | "failed":
            return state
        case "open", "holds":
            return "fixed"
        case "open", _:
            return "open"
        case _, "holds":
            return "held"
        case "fixed", _:
            return "regressed"
    return "accepted"


def of_verdict(find: Find, rules: Sequence[str], verdict: Verdict, *, own: bool = False) -> Outcome:
    """What a gate's verdict says of a find.

    Args:
        find: what was judged.
        rules: its rules, as they are seen now.
        verdict: the gate's.
        own: let only these rules count; what another rule finds counts as nothing. Without rules, all count.
    """
    broken = tuple(rule for rule in verdict.broken if not own or not rules or rule in rules)
    if find.kind == "break" and broken:
        return Outcome("holds", broken)
    if verdict.coverage.degraded:  # what failed might have found it
        name, what = next(iter(verdict.coverage.degraded.items()))
        if not broken:
            return Outcome("failed", (), f"{name}: {what}")
    holds = not broken if find.kind == "false-alarm" else bool(broken)
    return Outcome("holds" if holds else "breaks", broken)
