"""What two constitutions said to the texts of one decision: a line of the journal, and a row of its own table.

A line is one JSON object; a decision's line begins with a list, so the two cannot be taken for each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from guard.flips import Direction, Flip, Outcome, flips
from rules.schema import Action

COLUMNS = (
    "decision",
    "at",
    "constitution",
    "base",
    "candidate",
    "enforced",
    "base_action",
    "base_rules",
    "candidate_action",
    "candidate_rules",
    "flip",
    "places",
    "degraded",
)
JSON = ("base_rules", "candidate_rules", "places")
"""Columns that hold JSON."""

Enforced = Literal["base", "candidate"]
_TYPES: tuple[type | tuple[type, ...], ...] = (str, (int, float), *(str,) * 10, bool)


@dataclass(frozen=True, slots=True)
class Place:
    """One text that the two judge otherwise."""

    where: str
    """`messages[2]`, `choices[0].text`, as in findings."""
    part: str
    old: Outcome
    new: Outcome


@dataclass(frozen=True, slots=True)
class Compared:
    """What the rules in force and a candidate said to the texts of one decision. No text is in it."""

    decision: str
    at: float
    """Of the decision, seconds since the epoch."""
    constitution: str
    """Name."""
    base: str
    """Digest of the rules in force."""
    candidate: str
    """Digest of the candidate."""
    enforced: Enforced
    """Which of the two acted: `candidate` where the key is in the roll-out."""
    old: Outcome
    """Of the rules in force, over all texts."""
    new: Outcome
    """Of the candidate, over the same texts."""
    places: tuple[Place, ...] = field(default=())
    """The texts that are judged otherwise."""
    degraded: bool = False
    """Whether a detector failed on either side; then nothing is counted as a flip."""

    @property
    def flip(self) -> Direction | Literal[""]:
        """Which way the candidate judges otherwise; empty where it does not, or where that cannot be told."""
        if self.degraded:
            return ""
        for each in flips([(self.decision, "", "", self.old, self.new)]):
            return each.direction
        return "other" if self.places else ""


def encode(compared: Compared) -> bytes:
    """The payload of its line."""
    return orjson.dumps(
        {
            "decision": compared.decision,
            "at": compared.at,
            "constitution": compared.constitution,
            "base": compared.base,
            "candidate": compared.candidate,
            "enforced": compared.enforced,
            "base_action": compared.old.action,
            "base_rules": _scores(compared.old),
            "candidate_action": compared.new.action,
            "candidate_rules": _scores(compared.new),
            "flip": compared.flip,
            "places": [
                {"where": each.where, "part": str(each.part), "base": _told(each.old), "candidate": _told(each.new)}
                for each in compared.places
            ],
            "degraded": compared.degraded,
        }
    )


def is_shadow(payload: bytes) -> bool:
    """Whether a line's payload is one of these."""
    return payload.startswith(b"{")


def decode(payload: bytes) -> tuple[Any, ...]:
    """The values of a row, in the order of `COLUMNS`.

    Raises:
        ValueError: it is no such line.
    """
    given = orjson.loads(payload)
    if not isinstance(given, dict) or set(given) != set(COLUMNS):
        raise ValueError("not a line of this version's journal")
    values = tuple(orjson.dumps(given[name]).decode() if name in JSON else given[name] for name in COLUMNS)
    if not all(isinstance(value, kind) for value, kind in zip(values, _TYPES, strict=True)):
        raise ValueError("a value is of another type than its column")
    return values


def read(values: Mapping[str, Any]) -> Compared:
    """What a row of the table says."""
    return Compared(
        values["decision"],
        values["at"],
        values["constitution"],
        values["base"],
        values["candidate"],
        values["enforced"],
        _outcome(values["base_action"], orjson.loads(values["base_rules"])),
        _outcome(values["candidate_action"], orjson.loads(values["candidate_rules"])),
        tuple(
            Place(each["where"], each["part"], _outcome(**each["base"]), _outcome(**each["candidate"]))
            for each in orjson.loads(values["places"])
        ),
        bool(values["degraded"]),
    )


def as_json(compared: Compared) -> dict[str, Any]:
    """As the API, `--json` and exports tell it beside the decision."""
    return {
        "base": {"digest": compared.base, **_told(compared.old)},
        "candidate": {"digest": compared.candidate, **_told(compared.new)},
        "enforced": compared.enforced,
        "flip": compared.flip,
        "places": [
            {"where": each.where, "part": each.part, "base": _told(each.old), "candidate": _told(each.new)}
            for each in compared.places
        ],
        "degraded": compared.degraded,
    }


def as_flip(compared: Compared) -> Flip:
    """As the flip of a whole decision; its part is told where one part alone flips."""
    parts = {each.part for each in compared.places}
    return Flip(compared.decision, parts.pop() if len(parts) == 1 else "", "", compared.old, compared.new)


def merged(outcomes: Sequence[Outcome]) -> Outcome:
    """Over several texts: the worst action, and of each rule its highest score; worst first."""
    ranks = {action: rank for rank, action in enumerate(Action)}
    action = max((each.action for each in outcomes), key=ranks.__getitem__, default=Action.ALLOW)
    rules: dict[str, float] = {}
    for each in outcomes:
        for rule, score in each.rules.items():
            rules[rule] = max(score, rules.get(rule, 0.0))
    return Outcome(action, dict(sorted(rules.items(), key=lambda item: -item[1])))


def _scores(outcome: Outcome) -> dict[str, float]:
    return {rule: round(float(score), 6) for rule, score in outcome.rules.items()}


def _told(outcome: Outcome) -> dict[str, Any]:
    return {"action": str(outcome.action), "rules": _scores(outcome)}


def _outcome(action: str, rules: Mapping[str, float]) -> Outcome:
    return Outcome(Action(action), dict(rules))
