"""What can go wrong with rules.

WardlawError            anything a person can mend: one line, and a hint what to do
  RuleError             something is wrong in a rule file, at a place
    RuleErrors          all that is wrong with a set of files, at once
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class WardlawError(Exception):
    """The root of all errors that are the user's to mend. `str(error)` is what they read."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.what}\n  hint: {self.hint}" if self.hint else self.what


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """A place in a file; lines and columns count from 1."""

    path: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


class RuleError(WardlawError):
    """One fault in a rule file."""

    def __init__(self, where: Location | None, what: str, hint: str = "") -> None:
        super().__init__(f"{where}: {what}" if where else what, hint)
        self.where = where
        self.fault = what


class RuleErrors(RuleError):
    """Every fault found in one load, in the order of the files."""

    def __init__(self, errors: Sequence[RuleError]) -> None:
        first = errors[0]
        super().__init__(first.where, first.fault, first.hint)
        self.errors = tuple(errors)

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)
