"""One change of one rule, before it is told where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Effect: TypeAlias = Literal["verdict", "rows", "words"]


@dataclass(frozen=True, slots=True)
class Found:
    """One change of one rule; see `rules.diff.Change`."""

    field: str
    what: str
    effect: Effect
    asked: bool = False
    old: str = ""
    new: str = ""
    keys: tuple[str | int, ...] = ()
    """Where it stands in the rule; where the field stands, if left out."""
    gone: bool = False
    """Whether `keys` lead to its place in the rule before."""
