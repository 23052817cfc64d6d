"""What can go wrong with a ledger, and a person can mend.

LedgerError         the file cannot be read or written, or is no ledger
  LedgerFaults      lines of it are not as they were written; nothing is read past them in silence
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rules.errors import WardlawError

FaultKind = Literal["edited", "conflict", "foreign", "format", "form", "stray", "gone"]


class LedgerError(WardlawError):
    """The ledger cannot be used as it is."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one line."""

    line: int
    """From 1; 0 where the line is not there any more."""
    kind: FaultKind
    what: str
    hint: str = ""


class LedgerFaults(LedgerError):
    """Lines are not as they were written."""

    def __init__(self, path: Path, faults: Sequence[Fault]) -> None:
        first = faults[0]
        more = len(faults) - 1
        beside = f" (and {more:,} more: `wardlaw redteam check` lists all)" if more else ""
        super().__init__(f"{path}:{first.line}: {first.what}{beside}", first.hint)
        self.faults = tuple(faults)
