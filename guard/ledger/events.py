"""The events that lines of a ledger hold: a find, an amendment of one by its id, the outcome of a replay."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal, TypeAlias, get_args

from pydantic import AwareDatetime, StringConstraints, model_validator

from guard.ledger.find import Find, FindId
from rules.actions import Severity
from rules.base import Closed, RuleId

FORMAT = 1
"""Format of the lines that are written."""

Status: TypeAlias = Literal["open", "fixed", "accepted"]
STATUSES: tuple[Status, ...] = get_args(Status)

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Entered(Closed):
    """A find was entered; entered again later, it was found again."""

    event: Literal["find"] = "find"
    at: AwareDatetime
    """When the line was written."""
    find: Find


class Amended(Closed):
    """Something of a find is seen otherwise now. What was written before stays."""

    event: Literal["amend"] = "amend"
    at: AwareDatetime
    by: Name
    id: FindId
    status: Status | None = None
    severity: Severity | None = None
    rules: tuple[RuleId, ...] | None = None
    why: str | None = None
    note: str = ""

    @model_validator(mode="after")
    def _says_something(self) -> Amended:
        if self.status is None and self.severity is None and self.rules is None and self.why is None and not self.note:
            raise ValueError("it amends nothing")
        return self


class Target(Closed):
    """What a replay was run against."""

    kind: Literal["gate", "model", "guard"]
    name: str
    """The rules as they were named."""
    constitution: str
    """Digest of the rules."""
    gate: str = ""
    """Identity of the gate: rules, detectors, models, heads."""
    model: str | None = None
    """Identity of the model that was asked."""
    samples: int = 1
    """Answers drawn a find."""


class Replayed(Closed):
    """What a replay came to."""

    event: Literal["replay"] = "replay"
    at: AwareDatetime
    by: Name
    target: Target
    settles: bool
    """Whether it says what is so today: then open finds that hold are fixed, and fixed ones that break open again."""
    holds: tuple[FindId, ...] = ()
    breaks: tuple[FindId, ...] = ()
    unsure: tuple[FindId, ...] = ()
    """Finds of which it cannot be told."""
    failed: tuple[FindId, ...] = ()
    """Finds that could not be judged, or asked."""


Event: TypeAlias = Entered | Amended | Replayed
EVENTS: dict[str, type[Entered] | type[Amended] | type[Replayed]] = {
    "find": Entered,
    "amend": Amended,
    "replay": Replayed,
}


def now() -> datetime:
    """The time, to the millisecond, as lines have it."""
    at = datetime.now(UTC)
    return at.replace(microsecond=at.microsecond // 1000 * 1000)
