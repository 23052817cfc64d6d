"""What a run came to, in figures: one pass over the rows, flat memory. Card, report and closing summary read it."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from itertools import pairwise

from constitution.row import Record, Row

SCORE_EDGES = tuple(step / 100 for step in range(1, 100))
"""Inner edges of the bins of a gate score."""
LENGTH_EDGES = tuple(round(10 ** (step / 12)) for step in range(12, 60))
"""Inner edges of the bins of a length in characters: twelve to a factor of ten, from 10 to about 83,000."""


class Histogram(Record):
    """Values counted in fixed bins."""

    edges: tuple[float, ...]
    """Inner edges, ascending; bin i holds edges[i-1] <= value < edges[i]."""
    counts: tuple[int, ...]
    """One more than the edges."""
    total: float = 0.0
    """Sum of the values."""
    low: float = 0.0
    high: float = 0.0
    """Smallest and largest value."""

    @property
    def n(self) -> int:
        """How many values."""
        return sum(self.counts)

    @property
    def mean(self) -> float:
        """Mean of the values; NaN where there is none."""
        return self.total / self.n if self.n else math.nan

    def quantile(self, share: float) -> float:
        """The value below which `share` (0 to 1) of the values lie, straight within a bin; NaN where there is none."""
        if not self.n:
            return math.nan
        wanted, seen = share * self.n, 0
        for at, count in enumerate(self.counts):
            if count and seen + count >= wanted:
                start = max(self.edges[at - 1], self.low) if at else self.low
                end = min(self.edges[at], self.high) if at < len(self.edges) else self.high
                return start + (end - start) * (wanted - seen) / count
            seen += count
        return self.high


class RuleCount(Record):
    """What became of the rows in which a rule came up. A row of several rules counts for each."""

    accepted: int = 0
    """Accepted rows."""
    changed: int = 0
    """Those of them whose answer this rule changed."""
    rejected: int = 0
    """Rejected rows."""


class Spent(Record):
    """What the calls of one role at one stage cost."""

    calls: int = 0
    prompt: int = 0
    """Tokens in."""
    completion: int = 0
    """Tokens out."""
    ms: float = 0.0
    """Wall time of the calls, added up: calls run side by side, so it exceeds the time of the run."""


class RunStatistics(Record):
    """The figures of a run."""

    rows: int = 0
    accepted: int = 0
    rejected: int = 0
    benign: int = 0
    """Rows mixed in as harmless, accepted or not."""
    benign_accepted: int = 0
    changed: int = 0
    """Accepted rows whose answer a rule changed."""
    earlier_turns: int = 0
    """Accepted rows whose prompt holds earlier answers of an assistant."""
    without_rule: int = 0
    """Rows in which no rule came up."""
    rules: Mapping[str, RuleCount] = {}
    """Rule id -> what became of its rows, most rows first."""
    rejections: Mapping[str, Mapping[str, int]] = {}
    """Stage -> reason -> rows, most first."""
    scores: tuple[Histogram, ...] = ()
    """Gate score of the first answer, then after round 1, 2 ...; rows not mixed in as benign, that have a first score.
    A row that ended earlier counts on with its last score, so that all rounds speak of the same rows."""
    length_first: Histogram
    length_final: Histogram
    """Characters of the first and of the final answer, in accepted rows that were changed."""
    rounds: Mapping[int, int] = {}
    """Rounds a row took -> rows."""
    spent: Mapping[str, Mapping[str, Spent]] = {}
    """Role -> stage -> what the calls cost, all rounds together."""
    languages: Mapping[str, int] = {}
    sources: Mapping[str, int] = {}
    """Source file -> rows."""
    constitutions: Mapping[str, int] = {}
    """Digest -> rows; one in a run that was not told to mix."""
    templates: Mapping[str, int] = {}
    models: Mapping[str, Mapping[str, int]] = {}
    """Role -> identity of the model -> rows."""
    sampling: Mapping[str, Mapping[str, float | int]] = {}
    """Role -> settings, as in the first row."""
    started: float | None = None
    finished: float | None = None
    """Unix time of the first start and of the last end; a run that was resumed has a gap between."""

    @property
    def tokens(self) -> Spent:
        """All calls together."""
        every = [spent for stages in self.spent.values() for spent in stages.values()]
        return Spent(
            calls=sum(spent.calls for spent in every),
            prompt=sum(spent.prompt for spent in every),
            completion=sum(spent.completion for spent in every),
            ms=sum(spent.ms for spent in every),
        )

    @property
    def gone_in_round(self) -> tuple[float, ...]:
        """Share of the first answers' mean gate score that each round took away, round 1 first. Below 0: it rose."""
        means = [histogram.mean for histogram in self.scores]
        if not means or not means[0] > 0:
            return ()
        return tuple((before - after) / means[0] for before, after in pairwise(means))


def gather(rows: Iterable[Row]) -> RunStatistics:
    """The figures of `rows`, in one pass; memory grows with the number of rules, reasons and files, not of rows."""
    tally = _Tally()
    for row in rows:
        tally.add(row)
    return tally.result()


class _Bins:
    def __init__(self, edges: tuple[float, ...]) -> None:
        self.edges = edges
        self.counts = [0] * (len(edges) + 1)
        self.total, self.low, self.high = 0.0, math.inf, -math.inf

    def add(self, value: float) -> None:
        self.counts[bisect_right(self.edges, value)] += 1
        self.total += value
        self.low, self.high = min(self.low, value), max(self.high, value)

    def merged(self, other: _Bins) -> _Bins:
        both = _Bins(self.edges)
        both.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        both.total = self.total + other.total
        both.low, both.high = min(self.low, other.low), max(self.high, other.high)
        return both

    def histogram(self) -> Histogram:
        some = any(self.counts)
        return Histogram(
            edges=self.edges,
            counts=tuple(self.counts),
            total=self.total,
            low=self.low if some else 0.0,
            high=self.high if some else 0.0,
        )


class _Spending:
    def __init__(self) -> None:
        self.calls = self.prompt = self.completion = 0
        self.ms = 0.0


class _Tally:
    def __init__(self) -> None:
        self.plain: Counter[str] = Counter()
        self.rules: dict[str, Counter[str]] = defaultdict(Counter)
        self.rejections: dict[str, Counter[str]] = defaultdict(Counter)
        self.models: dict[str, Counter[str]] = defaultdict(Counter)
        self.languages: Counter[str] = Counter()
        self.sources: Counter[str] = Counter()
        self.constitutions: Counter[str] = Counter()
        self.templates: Counter[str] = Counter()
        self.rounds: Counter[int] = Counter()
        self.spent: dict[str, dict[str, _Spending]] = defaultdict(lambda: defaultdict(_Spending))
        self.sampling: Mapping[str, Mapping[str, float | int]] = {}
        self.first, self.final = _Bins(LENGTH_EDGES), _Bins(LENGTH_EDGES)
        # Scores seen at a step, and last scores of the rows that ended there: the latter count on in later steps.
        self.steps: dict[int, _Bins] = defaultdict(lambda: _Bins(SCORE_EDGES))
        self.ended: dict[int, _Bins] = defaultdict(lambda: _Bins(SCORE_EDGES))
        self.started, self.finished = math.inf, -math.inf

    def add(self, row: Row) -> None:
        accepted = row.status == "accepted"
        self.plain["rows"] += 1
        self.plain[row.status] += 1
        self.plain["benign"] += row.benign
        self.plain["benign_accepted"] += row.benign and accepted
        self.plain["changed"] += accepted and row.changed
        self.plain["earlier_turns"] += accepted and any(said.role == "assistant" for said in row.prompt)
        self.plain["without_rule"] += not row.rounds
        self._add_rules(row, accepted)
        self._add_scores(row)
        if row.rejection is not None:
            self.rejections[row.rejection.stage][row.rejection.reason] += 1
        if accepted and row.changed and row.answer is not None and row.final is not None:
            self.first.add(len(row.answer))
            self.final.add(len(row.final))
        for role, identity in row.models.items():
            self.models[role][identity] += 1
        self.languages[row.language] += 1
        self.sources[row.source.file] += 1
        self.constitutions[row.constitution] += 1
        self.templates[row.templates] += 1
        self.rounds[len(row.rounds)] += 1
        self.sampling = self.sampling or row.sampling
        self.started, self.finished = min(self.started, row.started), max(self.finished, row.finished)
        for call in row.calls:
            # `critique 2` is the critique of round 2; a table with a line a round would say nothing more.
            spending = self.spent[call.role][call.stage.partition(" ")[0]]
            spending.calls += 1
            spending.prompt += call.tokens.prompt
            spending.completion += call.tokens.completion
            spending.ms += call.ms

    def _add_rules(self, row: Row, accepted: bool) -> None:
        for rule in dict.fromkeys(round_.rule for round_ in row.rounds):
            self.rules[rule]["accepted" if accepted else "rejected"] += 1
        if accepted:
            for rule in row.shaped_by:
                self.rules[rule]["changed"] += 1

    def _add_scores(self, row: Row) -> None:
        if row.benign or row.score_answer is None:
            return
        score = row.score_answer
        self.steps[0].add(score)
        for step, round_ in enumerate(row.rounds, start=1):
            score = score if round_.score_after is None else round_.score_after
            self.steps[step].add(score)
        self.ended[len(row.rounds)].add(score)

    def _scores(self) -> tuple[Histogram, ...]:
        histograms = []
        over = _Bins(SCORE_EDGES)
        for step in range(max(self.steps, default=-1) + 1):
            histograms.append(self.steps[step].merged(over).histogram())
            over = over.merged(self.ended[step])
        return tuple(histograms)

    def result(self) -> RunStatistics:
        by_rows = sorted(self.rules.items(), key=lambda item: (-(item[1]["accepted"] + item[1]["rejected"]), item[0]))
        by_stage = sorted(self.rejections.items(), key=lambda item: (-item[1].total(), item[0]))
        some = self.plain["rows"] > 0
        return RunStatistics(
            **self.plain,
            rules={rule: RuleCount(**count) for rule, count in by_rows},
            rejections={stage: ranked(reasons) for stage, reasons in by_stage},
            scores=self._scores(),
            length_first=self.first.histogram(),
            length_final=self.final.histogram(),
            rounds=dict(sorted(self.rounds.items())),
            spent={
                role: {stage: Spent(**vars(spending)) for stage, spending in stages.items()}
                for role, stages in sorted(self.spent.items())
            },
            languages=ranked(self.languages),
            sources=ranked(self.sources),
            constitutions=ranked(self.constitutions),
            templates=ranked(self.templates),
            models={role: ranked(identities) for role, identities in sorted(self.models.items())},
            sampling=self.sampling,
            started=self.started if some else None,
            finished=self.finished if some else None,
        )


def ranked(counts: Mapping[str, int]) -> dict[str, int]:
    """The counts, most first; equal ones by name, so that the same run gives the same file."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
