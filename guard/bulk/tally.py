"""What came of many lines, in numbers that add up."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

_FIRST = 5


@dataclass(slots=True)
class Tally:
    """Counts of judged lines, and of those put aside."""

    rows: int = 0
    """Lines judged."""
    found: int = 0
    """Lines with a finding."""
    degraded: int = 0
    actions: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    aside: int = 0
    """Lines that could not be judged."""
    first_aside: list[str] = field(default_factory=list)
    """A few of them, as `file:line: why`."""

    def count(self, row: Mapping[str, Any]) -> None:
        """Count a row of a shard."""
        if row["error"] is not None:
            self.aside += 1
            if len(self.first_aside) < _FIRST:
                self.first_aside.append(f"{row['file']}:{row['line']}: {row['error']}")
            return
        self.rows += 1
        self.found += bool(row["findings"])
        self.degraded += bool(row["degraded"])
        self.actions[row["action"]] += 1
        self.rules.update(row["broken"])

    def add(self, other: Tally) -> None:
        """Add what was counted elsewhere."""
        self.rows += other.rows
        self.found += other.found
        self.degraded += other.degraded
        self.actions.update(other.actions)
        self.rules.update(other.rules)
        self.aside += other.aside
        # By place, so that it is the same whichever worker was first.
        self.first_aside = sorted({*self.first_aside, *other.first_aside})[:_FIRST]

    def dump(self) -> bytes:
        """As JSON; `load` reads it."""
        return json.dumps({each.name: getattr(self, each.name) for each in fields(self)}).encode()

    @classmethod
    def load(cls, data: bytes) -> Tally:
        """What `dump` wrote."""
        told = json.loads(data)
        told |= {name: Counter(told[name]) for name in ("actions", "rules")}
        return cls(**told)
