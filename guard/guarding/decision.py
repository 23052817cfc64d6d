"""The decision: everything that was found and done for one request. Headers, audit rows and metrics are made of it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from guard.guarding.incoming import Unscannable
from guard.verdict import Coverage, Finding
from rules.schema import Action


@dataclass(frozen=True, slots=True)
class Placed:
    """A finding, and where in the request or the answer it was made."""

    finding: Finding
    where: str
    """`messages[3]` of the request, or `choices[0].text`, `choices[1].tool[0]` of the answer."""
    enforced: bool = True
    """False where the rule, or the whole guard, only records."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What the guard decided about one request."""

    id: str
    at: float
    """Seconds since the epoch, when the request came."""
    action: Action
    """What was done: the worst over prompt and choices."""
    would: Action
    """What would have been done if the guard and all rules were enforced; differs in shadow mode."""
    findings: tuple[Placed, ...]
    coverage: Coverage
    """Over prompt and answer together."""
    constitution: str
    """Digest."""
    mode: Literal["enforce", "shadow"]
    ms: Mapping[str, float]
    """Stage -> milliseconds: `gate.prompt`, `gate.answer`, `upstream`, `amend`, and the detectors' own."""
    unscannable: tuple[Unscannable, ...] = ()
    withheld: tuple[str, ...] = ()
    """Places of old turns that the model was not shown."""
    rounds: int = 0
    """Rounds of critique and revision."""
    drawn: int = 0
    """Further answers that were drawn."""
    amend: str = ""
    """Why an answer was not mended though a rule wants it (`no reviser`, `out of time`); empty where none was to be, or
    where it was. Of several choices, what each came to, with a semicolon between."""
    complete: bool = True
    """False while a stream goes on: more may be found in it."""
    rules: tuple[str, ...] = field(default=())
    """Ids of the rules found broken and enforced, worst first."""


def kinds_of(amend: str) -> list[str]:
    """The reasons in a decision's `amend`, without the names of errors: for whoever is not to be told those."""
    return [why.partition(":")[0] for why in amend.split("; ")] if amend else []


def decision_id() -> str:
    """A new id: `d_` and 32 hex characters that sort by time."""
    return f"d_{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"
