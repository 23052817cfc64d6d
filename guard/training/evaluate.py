"""The gate measured on labelled sets: what it flagged, how well its scores rank, what each stage saw and cost.

A row counts as flagged where the verdict has findings, by the gate as it runs. Scores, which only rank, come from
every detector: where the gate as it runs spared one, because an earlier stage had settled the text, that row is looked
at once more by all of them. Both passes share the loaded models; times are of the first alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any

from guard.gate import BATCH_LIMIT, Gate
from guard.training.metrics import Counts, Interval, Ranking, Reliability, rank, reliability
from guard.training.sets import CheckRow, CheckSet

if TYPE_CHECKING:
    from guard.training.metrics import Flags, Floats
    from guard.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Judged:
    """What the gate said of one row."""

    row: CheckRow
    broken: tuple[str, ...]
    """Rules found broken, worst score first; the row is flagged where there are any."""
    found_by: tuple[str, ...]
    """Detectors that found any of them."""
    score: float
    """The highest score of any rule from any detector, from 0 to 1."""
    ms: Mapping[str, float]
    """Stage -> milliseconds, of those that looked."""
    degraded: tuple[str, ...] = ()
    """What went wrong with a detector on this row."""

    @property
    def flagged(self) -> bool:
        """Whether the gate found any rule broken."""
        return bool(self.broken)


@dataclass(frozen=True)
class SetResult:
    """The figures of one set."""

    name: str
    judged: tuple[Judged, ...]
    ignored: Mapping[str, int]

    @cached_property
    def counts(self) -> Counts:
        """Rows by label and by what the gate said."""
        return _counts(self.judged)

    @cached_property
    def f1(self) -> Interval | None:
        """At the shipped threshold; None without rows of both labels, where it says nothing."""
        return self.counts.f1() if self.counts.harmful and self.counts.safe else None

    @cached_property
    def harmful(self) -> Flags:
        """(rows,) bool: the labels."""
        import numpy as np

        return np.array([each.row.harmful for each in self.judged], np.bool_)

    @cached_property
    def scores(self) -> Floats:
        """(rows,) the scores."""
        import numpy as np

        return np.array([each.score for each in self.judged], np.float64)

    @cached_property
    def ranking(self) -> Ranking | None:
        """What does not depend on a threshold; None without rows of both labels."""
        return rank(self.harmful, self.scores)

    @cached_property
    def reliability(self) -> Reliability:
        """Whether scores are probabilities."""
        return reliability(self.harmful, self.scores)

    @property
    def degraded(self) -> Mapping[str, int]:
        """What went wrong with a detector -> on how many rows."""
        return Counter(what for each in self.judged for what in each.degraded)

    def by_category(self) -> dict[str, Counts]:
        """Category -> counts, in the order of the alphabet; `-` is that of rows without one."""
        return dict(sorted(_grouped(self.judged, lambda each: [each.row.category or "-"]).items()))

    def by_rule(self) -> dict[str, Counts]:
        """Rule -> harmful and safe rows in which it was found, most first. A row counts for each of its rules."""
        return dict(sorted(_grouped(self.judged, lambda each: each.broken).items(), key=_most_flagged))

    def as_dict(self) -> dict[str, Any]:
        """All figures, as JSON; what does not apply is null."""
        counts, order = self.counts, self.ranking
        return {
            "set": self.name,
            "rows": len(self.judged),
            "harmful": counts.harmful,
            "counts": asdict(counts),
            "f1": _plain(self.f1),
            "recall": _plain(counts.recall),
            "precision": _plain(counts.precision),
            "safe_flagged": _plain(counts.safe_flagged),
            "ranking": order and asdict(order),
            "calibration": asdict(self.reliability),
            "by_category": {name: asdict(each) for name, each in self.by_category().items()},
            "by_rule": {name: asdict(each) for name, each in self.by_rule().items()},
            "stages": [asdict(each) for each in stages(self.judged)],
            "ignored": dict(self.ignored),
            "degraded": dict(self.degraded),
        }


@dataclass(frozen=True, slots=True)
class Stage:
    """What one stage did for some rows."""

    name: str
    looked: float
    """Share of the rows that it had to look at."""
    ms: float
    """Mean milliseconds a row that it looked at, in batches."""
    ms_a_row: float
    """Mean milliseconds over all rows."""
    found: int
    """Flagged rows in which it found something."""
    alone: int
    """Those of them in which nothing else did."""


def evaluate(
    gate: Gate, sets: Iterable[CheckSet], progress: Callable[[int], object] = lambda _: None
) -> list[SetResult]:
    """Judge every row of every set.

    Args:
        gate: its detectors are used; what it remembers is not, since times are to be measured.
        sets: labelled rows.
        progress: called with the number of rows judged since the last call.

    Returns:
        one result a set that has rows, in order.
    """
    running = Gate(gate.constitution, gate.detectors, remember=0)
    thorough = Gate(gate.constitution, gate.detectors, thorough=True, remember=0)
    names = [detector.name for detector in gate.detectors]
    results = []
    for each in sets:
        judged: list[Judged] = []
        for rows in _batches(each.rows):
            verdicts = running.judge_many([row.exchange for row in rows])
            spared = [place for place, verdict in enumerate(verdicts) if any(name not in verdict.ms for name in names)]
            again = thorough.judge_many([rows[place].exchange for place in spared])
            scores = [verdict.score for verdict in verdicts]
            for place, verdict in zip(spared, again, strict=True):
                scores[place] = max(scores[place], verdict.score)
            judged += [_judged(*one) for one in zip(rows, verdicts, scores, strict=True)]
            progress(len(rows))
        if judged:
            results.append(SetResult(each.name, tuple(judged), each.ignored))
    return results


def stages(judged: Sequence[Judged]) -> list[Stage]:
    """What each stage did, in the order in which they first looked."""
    names = list(dict.fromkeys(name for each in judged for name in (*each.ms, *each.found_by)))
    found = []
    for name in names:
        times = [each.ms[name] for each in judged if name in each.ms]
        by = [each.found_by for each in judged if name in each.found_by]
        found.append(
            Stage(
                name,
                len(times) / len(judged),
                sum(times) / max(1, len(times)),
                sum(times) / len(judged),
                len(by),
                by.count((name,)),
            )
        )
    return found


def _judged(row: CheckRow, verdict: Verdict, score: float) -> Judged:
    found_by = tuple(dict.fromkeys(finding.detector for finding in verdict.findings))
    degraded = tuple(f"{name}: {what}" for name, what in verdict.coverage.degraded.items())
    return Judged(row, verdict.broken, found_by, score, verdict.ms, degraded)


def _counts(judged: Iterable[Judged]) -> Counts:
    rows = list(judged)
    return Counts.of([each.row.harmful for each in rows], [each.flagged for each in rows])


def _grouped(judged: Iterable[Judged], names: Callable[[Judged], Sequence[str]]) -> dict[str, Counts]:
    pairs = sorted(((name, each) for each in judged for name in names(each)), key=lambda pair: pair[0])
    return {name: _counts(each for _, each in group) for name, group in groupby(pairs, key=lambda pair: pair[0])}


def _most_flagged(item: tuple[str, Counts]) -> tuple[int, str]:
    return -(item[1].hits + item[1].alarms), item[0]


def _batches(rows: Sequence[CheckRow]) -> Iterator[Sequence[CheckRow]]:
    for start in range(0, len(rows), BATCH_LIMIT):
        yield rows[start : start + BATCH_LIMIT]


def _plain(interval: Interval | None) -> dict[str, float] | None:
    return None if interval is None else asdict(interval)
