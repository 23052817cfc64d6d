"""What an evaluation came to, as it is written to report.json: each criterion, and what an earlier evaluation had."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from constitution.evaluating.criterion import Better, Item, Measure, Reliability, Unit
from constitution.row import Record

Change = Literal["better", "worse", "unclear"]


class Made(Record):
    """All that determines an evaluation's figures, beside the sets."""

    model: str
    """Identity of the model under test."""
    judge: str | None
    gate: str
    """Identity of the gate: the constitution's digest, and each detector."""
    constitution: str
    """Digest of the rules."""
    constitution_name: str
    templates: str
    """Digest of the loop's templates: by them a judge is asked for grades."""
    questions: str = ""
    """Digest of what judges are asked of answers, and the model beside plain prompts."""
    sampling: Mapping[str, float | int]
    samples: int
    system: str
    seed: int

    def differences(self, other: Made) -> list[str]:
        """What `other` has otherwise, in words."""
        mine, theirs = self.model_dump(), other.model_dump()
        return [
            f"{key}: was `{_short(mine[key])}`, is `{_short(theirs[key])}`" for key in mine if mine[key] != theirs[key]
        ]

    def judged_otherwise(self, other: Made) -> str:
        """Why a difference to `other` may come from who judges, and not from the model; empty where it cannot."""
        words = {"gate": "gate", "templates": "wording of grades", "questions": "wording of questions"}
        changed = [word for name, word in words.items() if getattr(self, name) != getattr(other, name)]
        if self.judge and other.judge and self.judge != other.judge:
            changed.append("judge")
        if not changed:
            return ""
        return f"another {' and another '.join(changed)} then: a difference may be its, and not the model's"


class Outcome(Record):
    """One criterion, measured or not."""

    criterion: str
    title: str
    definition: str
    source: str
    measures: tuple[Measure, ...] = ()
    """The headline first."""
    reliability: tuple[Reliability, ...] = ()
    notes: tuple[str, ...] = ()
    left_out: Mapping[str, int] = {}
    """Reason -> items that no figure counts."""
    items: int = 0
    why_not: str = ""
    """Why it was not measured; empty where it was."""

    @property
    def headline(self) -> Measure | None:
        """The first measure."""
        return self.measures[0] if self.measures else None

    @property
    def main(self) -> tuple[Measure, ...]:
        """The measures that are no part of another: a breakdown has a `/` in its name."""
        return tuple(measure for measure in self.measures if "/" not in measure.name)

    @property
    def parts(self) -> tuple[Measure, ...]:
        """The breakdowns."""
        return tuple(measure for measure in self.measures if "/" in measure.name)


class Pairing(Record):
    """One measure in two evaluations, over the items that both have."""

    criterion: str
    measure: str
    title: str
    unit: Unit
    better: Better
    pairs: int
    before: float
    """Mean over the pairs of the earlier evaluation."""
    after: float
    difference: float
    """`after` less `before`."""
    low: float
    high: float
    """Its 95% interval."""

    @property
    def change(self) -> Change:
        """Whether the interval says that it got better or worse; of a gap, whether it is nearer to nought by sign."""
        if self.low <= 0 <= self.high or self.better == "nearer 0":
            return "unclear"
        return "better" if (self.difference > 0) == (self.better == "higher") else "worse"


class Comparison(Record):
    """An earlier evaluation beside this one."""

    folder: str
    model: str
    differs: tuple[str, ...] = ()
    """What determined it otherwise, beside the model."""
    caution: str = ""
    """Why differences may not be the model's; empty where the same judged both."""
    pairings: tuple[Pairing, ...] = ()
    only_before: tuple[str, ...] = ()
    """Criteria that it alone measured."""
    only_after: tuple[str, ...] = ()


class Spent(Record):
    """What a run cost."""

    calls: int
    reused: int
    """Calls answered from the folder."""
    prompt: int
    """Tokens in."""
    completion: int
    seconds: float
    """From the first call to the last reply."""


class Report(Record):
    """All of an evaluation, but the items."""

    version: Literal[1] = 1
    made: Made
    limit: int | None
    data: str | None
    """Name of the folder of labelled sets."""
    outcomes: tuple[Outcome, ...]
    spent: Spent
    comparison: Comparison | None = None
    finished: float
    """Unix time, seconds."""

    @property
    def measured(self) -> tuple[Outcome, ...]:
        """The criteria that were."""
        return tuple(outcome for outcome in self.outcomes if not outcome.why_not)

    @property
    def not_run(self) -> tuple[Outcome, ...]:
        """The criteria that were not, each with its reason."""
        return tuple(outcome for outcome in self.outcomes if outcome.why_not)


class Kept(Record):
    """A line of the items' file."""

    criterion: str
    item: Item


def _short(value: object) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 100 else f"{text[:99]}…"
