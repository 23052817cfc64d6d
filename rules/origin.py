"""Where the value of a rule's field comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rules.errors import Location


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a field of a rule got the value that counts."""

    kind: Literal["written", "defaults", "default"]
    """`written` in the rule; taken from the `defaults` of the file that defined the rule; or the format's `default`."""

    where: Location | None = None
    """The value's place; None for a `default`."""

    instead_of: tuple[Location, ...] = ()
    """The values that it took the place of, the first one first."""

    def __str__(self) -> str:
        told = {"written": str(self.where), "defaults": f"defaults of {self.where}", "default": "default"}[self.kind]
        over = ", ".join(map(str, self.instead_of))
        return f"{told}, in place of {over}" if over else told
