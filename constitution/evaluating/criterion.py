"""What a criterion is, and what it comes to: measures with intervals, and the items that they are means of.

A measure is the mean of what its items say under its name, so that two evaluations of the same items can be paired.
"""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Literal, Protocol, cast

from constitution.row import Record, Said
from guard.exchange import Message
from rules.errors import WardlawError
from rules.words import listed, nearest, quoted

if TYPE_CHECKING:
    from constitution.evaluating.bench import Bench

Need = Literal["gate", "judge", "data"]
"""What a criterion cannot do without: `judge` is `--judge`, `data` is `--data`. The gate is always there."""

Better = Literal["lower", "higher", "nearer 0"]

Unit = Literal["share", "score", "grade"]
"""`share` is shown in percent."""

_WITHIN: Mapping[Unit, tuple[float, float]] = {"share": (0.0, 1.0), "score": (0.0, 1.0), "grade": (1.0, 5.0)}
"""What a value may be; a gap is the difference of two such."""


def within(unit: Unit, better: Better) -> tuple[float, float]:
    """The least and the largest value of an item."""
    low, high = _WITHIN[unit]
    return (low - high, high - low) if better == "nearer 0" else (low, high)


ALL = "all"


DAMAGED = "put it back from a copy, or run the evaluation again: no finished call is asked again"
"""What to do about a file of an evaluation that cannot be read."""


class EvaluationError(WardlawError):
    """An evaluation cannot be run as it was asked for, or its folder cannot be read."""


class CannotRun(Exception):
    """A criterion cannot be measured here; the text says why. The report tells of it."""


class Measure(Record):
    """One figure of a criterion."""

    name: str
    """Unique in its criterion, as `rate` or `rate/insults`. The first measure of a criterion is its headline."""
    title: str
    """In words, as `answers that break the rule`."""
    value: float
    low: float
    high: float
    """The range that holds the true value with 95% confidence."""
    n: int
    """Items it is the mean of."""
    unit: Unit = "share"
    better: Better = "lower"
    definition: str = ""
    """What is counted of what, where the criterion's own definition does not say it."""


class Item(Record):
    """One case: what was asked, what was answered, and what was said of it."""

    id: str
    """The same for the same case in every evaluation: `item_id` makes it."""
    about: Mapping[str, str] = {}
    """What to group by: `rule`, `set`, `category`, `group` ..."""
    prompt: tuple[Said, ...]
    answer: str | None
    """None where there was none."""
    withheld: bool = False
    """A provider's filter or a guard kept the model's own answer back."""
    judgements: Mapping[str, bool | int | float | str | None] = {}
    """Who or what said what, as `gate: true`, `judge: breaks`, `reason: ...`."""
    values: Mapping[str, float] = {}
    """Name of a measure -> what this item adds to its mean. Left out of measures it says nothing of."""
    bad: bool = False
    """Whether it is shown among the faults."""


class Reliability(Record):
    """How far this judge agrees with labels that people gave, on this very question."""

    of: str
    """The question, as `sensible`."""
    by: str = "judge"
    """Who or what is meant: `judge`, `gate`, `words`."""
    labels: int
    """Labelled cases that it was asked about and whose answer could be read."""
    agreement: float
    low: float
    high: float
    """Share of them in which it says what people say, with its 95% interval."""
    kappa: float | None = None
    """Agreement beyond chance (Cohen 1960), 0 where it says the same of all; None where there is but one word."""
    baseline: float | None = None
    """Share of the same cases that bear the commonest label: what always saying the same would agree in."""
    unread: int = 0
    """Cases where the judge's answer could not be read."""
    flips: float | None = None
    """Where it compares: share of the cases in which the order decides its choice."""

    @property
    def informs(self) -> bool:
        """Whether it agrees more often than always saying the same would, beyond doubt at 95%."""
        return self.baseline is None or self.low > self.baseline


class Result(Record):
    """What a criterion came to."""

    measures: tuple[Measure, ...]
    items: tuple[Item, ...]
    reliability: tuple[Reliability, ...] = ()
    notes: tuple[str, ...] = ()
    """What a reader must know beside the figures, a sentence each."""
    left_out: Mapping[str, int] = {}
    """Reason -> items that no figure counts."""


class Criterion(Protocol):
    """What a file of `criteria/` offers. Its name on the command line is `NAME`, the file's name with hyphens."""

    NAME: str
    TITLE: str
    DEFINITION: str
    """What is asked, how it is judged, and what each figure is the mean of; whole sentences, Markdown."""
    SOURCE: str
    """Who defined it, with year and arXiv number or the like, and where this one differs."""
    NEEDS: tuple[Need, ...]

    async def measure(self, bench: Bench) -> Result:
        """Ask, judge and count. In the module a plain `async def measure(bench)`.

        Raises:
            CannotRun: it cannot be measured here.
            BudgetSpent, ModelError, StoreError: from the bench; let them pass.
        """


@cache
def criteria() -> Mapping[str, Criterion]:
    """All criteria, by name: the files of `criteria/`."""
    from constitution.evaluating import criteria as folder

    names = sorted(info.name for info in pkgutil.iter_modules(folder.__path__) if not info.name.startswith("_"))
    modules = [cast("Criterion", importlib.import_module(f"{folder.__name__}.{name}")) for name in names]
    return {module.NAME: module for module in modules}


def chosen(names: Sequence[str]) -> list[Criterion]:
    """The criteria of these names; `all` is every one.

    Raises:
        EvaluationError: there is none of a name.
    """
    known = criteria()
    for name in names:
        if name != ALL and name not in known:
            near, everything = nearest(name, [*known, ALL]), f"known are {listed([*known, ALL])}"
            hint = f"did you mean `{near}`? {everything}" if near else everything
            raise EvaluationError(f"no criterion {quoted(name)}", hint)
    return list(known.values()) if ALL in names else [known[name] for name in dict.fromkeys(names)]


def item_id(*parts: object) -> str:
    """An id that depends on nothing but its parts: the criterion's name, what is asked, the number of the sample."""
    told = "\0".join(map(str, parts))
    return hashlib.blake2b(told.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def said(messages: Sequence[Message]) -> tuple[Said, ...]:
    """A conversation as it is written down."""
    return tuple(Said(role=message.role, content=message.content) for message in messages)


def mean_of(
    items: Sequence[Item],
    name: str,
    title: str,
    *,
    unit: Unit = "share",
    better: Better = "lower",
    definition: str = "",
    seed: int = 0,
) -> Measure | None:
    """The mean of what the items say under `name`, with its interval; None where none says anything.

    Zeros and ones are counted, with the exact interval (Clopper & Pearson 1934); of other values the interval is a
    percentile bootstrap over items, of gaps (`nearer 0`) that of `paired_difference`.
    """
    from constitution.evaluating.intervals import mean_interval, paired_difference

    values = [item.values[name] for item in items if name in item.values]
    if better == "nearer 0":
        found = paired_difference([0.0] * len(values), values, within=_WITHIN[unit], seed=seed)
    else:
        found = mean_interval(values, within=within(unit, better), seed=seed)
    if found is None:
        return None
    return Measure(
        name=name,
        title=title,
        value=found.value,
        low=found.low,
        high=found.high,
        n=len(values),
        unit=unit,
        better=better,
        definition=definition,
    )


def measures(*found: Measure | None, left_out: Mapping[str, int] | None = None) -> tuple[Measure, ...]:
    """Those that there are.

    Args:
        found: in their order.
        left_out: why items came to nothing -> how many, beside what the bench has counted.

    Raises:
        CannotRun: there is none: no item was answered or judged.
    """
    there = tuple(measure for measure in found if measure is not None)
    if not there:
        raise CannotRun(f"not one item was answered and judged{counted(left_out or {})}")
    return there


def counted(left_out: Mapping[str, int]) -> str:
    """` (3 no letter in the answer)`; nothing of nothing."""
    counts = ", ".join(f"{count:,} {reason}" for reason, count in left_out.items())
    return f" ({counts})" if counts else ""
