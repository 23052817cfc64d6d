"""The figures of a comparison: what became of the pairs, the bias of the place, and how far labels agree with people's.

Gathered in one pass, with nothing held but counts.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from constitution.preference.contest import Duel, Outcome
from constitution.preference.labels import chance, log_odds
from constitution.row import Record

BINS = 5
"""Bins of certainty, from 0.5 to 1."""
_MOST_SCALE = 1000.0


class Share(Record):
    """A share of so many, and its exact 95% interval."""

    count: int
    of: int
    value: float
    low: float
    high: float


class Position(Record):
    """What the place of an answer did."""

    pairs: int
    bias: float
    """Mean probability that the one shown as A is chosen, less a half: 0 is none, 0.5 always A."""
    bias_error: float
    """Its standard error."""
    flipped: Share | None
    """Pairs whose order flips the choice."""


class Bin(Record):
    """Pairs of like certainty."""

    low: float
    high: float
    pairs: int
    certainty: float
    """Mean of what the labels say, from 0.5 to 1."""
    agreed: float
    """The part that agrees with the input's own choice."""


class Agreement(Record):
    """How far labels agree with the choice that the input holds."""

    decided: int
    """Pairs with a label that is not exactly a half; near ties are among them."""
    undecided: int
    """Pairs labelled exactly a half."""
    unread: int
    """Pairs without a label."""
    accuracy: Share | None
    first_shown: Share | None
    """The same by the order alone in which the preferred answer is shown first."""
    second_shown: Share | None
    """The same by the other order alone."""
    brier: float
    """Mean squared distance of the label from 1; a coin has 0.25."""
    brier_error: float
    """Its standard error."""
    calibration_error: float
    """Mean distance of certainty from agreement over the bins, weighed by their pairs."""
    bins: tuple[Bin, ...]
    fit: float | None
    """By what the labels' log-odds would be multiplied to fit the choices best: above 1 they are too timid, below 1 too
    sure. None where no multiple above 0 is best: the labels do not agree with the choices, or always do."""
    rules: dict[str, Share]
    """Accuracy of each rule's looks alone."""


class Figures(Record):
    """All of a comparison."""

    contests: int
    accepted: int
    pairs: int
    counted: int
    """Pairs that are written."""
    left_out: dict[str, int]
    """Reason -> pairs."""
    rejected: dict[str, int]
    """Reason -> contests of which no pair counts."""
    how: dict[str, int]
    """`logprobs`, `votes` -> looks."""
    rules: dict[str, int]
    """Rule -> looks, of those that count."""
    made_questions: tuple[str, ...]
    """Rules whose question was made from their text."""
    kinds: dict[str, int]
    languages: dict[str, int]
    certainty: float
    """Mean certainty of the pairs that count."""
    position: Position
    agreement: Agreement | None
    """None where the input prefers none."""
    calls: int
    tokens_in: int
    tokens_out: int
    constitutions: tuple[str, ...]
    models: dict[str, tuple[str, ...]]


@dataclass(slots=True)
class _Hits:
    hits: int = 0
    of: int = 0

    def add(self, hit: bool) -> None:
        self.of += 1
        self.hits += hit

    def share(self) -> Share | None:
        from guard.training.metrics import share

        found = share(self.hits, self.of)
        if found is None:
            return None
        return Share(count=self.hits, of=self.of, value=found.value, low=found.low, high=found.high)


@dataclass(slots=True)
class _Agreeing:
    undecided: int = 0
    unread: int = 0
    labels: _Hits = field(default_factory=_Hits)
    orders: tuple[_Hits, _Hits] = field(default_factory=lambda: (_Hits(), _Hits()))
    squares: list[float] = field(default_factory=lambda: [0.0, 0.0])
    """Sums of the squared distances, and of their squares."""
    bins: list[_Hits] = field(default_factory=lambda: [_Hits() for _ in range(BINS)])
    certainties: list[float] = field(default_factory=lambda: [0.0] * BINS)
    odds: Counter[float] = field(default_factory=Counter)
    """Log-odds of the labels, to three places: as many as there are places, however many pairs there are."""
    rules: dict[str, _Hits] = field(default_factory=dict)

    def add(self, duel: Duel) -> None:
        """Take a pair of which the input prefers the first."""
        if duel.label is None:
            self.unread += 1
            return
        square = (1 - duel.label) ** 2
        self.squares[0] += square
        self.squares[1] += square**2
        self.odds[round(log_odds(duel.label), 3)] += 1
        for place, seen in zip(self.orders, duel.orders or (), strict=False):
            if seen != 0.5:
                place.add(seen > 0.5)
        for look in duel.read:
            if look.label != 0.5:
                self.rules.setdefault(look.rule, _Hits()).add((look.label or 0) > 0.5)
        if duel.label == 0.5:
            self.undecided += 1
            return
        agrees = duel.label > 0.5
        self.labels.add(agrees)
        at = min(int((duel.certainty - 0.5) * 2 * BINS), BINS - 1)
        self.bins[at].add(agrees)
        self.certainties[at] += duel.certainty

    def agreement(self) -> Agreement | None:
        seen = self.labels.of + self.undecided
        if not seen + self.unread:
            return None
        bins = [
            Bin(
                low=0.5 + at / BINS / 2,
                high=0.5 + (at + 1) / BINS / 2,
                pairs=found.of,
                certainty=self.certainties[at] / found.of,
                agreed=found.hits / found.of,
            )
            for at, found in enumerate(self.bins)
            if found.of
        ]
        off = sum(abs(item.certainty - item.agreed) * item.pairs for item in bins)
        rules = {rule: share for rule, hits in sorted(self.rules.items()) if (share := hits.share()) is not None}
        return Agreement(
            decided=self.labels.of,
            undecided=self.undecided,
            unread=self.unread,
            accuracy=self.labels.share(),
            first_shown=self.orders[0].share(),
            second_shown=self.orders[1].share(),
            brier=self.squares[0] / seen if seen else 0.0,
            brier_error=mean_error(self.squares[0], self.squares[1], seen),
            calibration_error=off / self.labels.of if self.labels.of else 0.0,
            bins=tuple(bins),
            fit=fitted(self.odds),
            rules=rules,
        )


def mean_error(total: float, squares: float, count: int) -> float:
    """The standard error of the mean of `count` numbers, from their sum and the sum of their squares."""
    return math.sqrt(max(0.0, squares / count - (total / count) ** 2) / (count - 1)) if count > 1 else 0.0


def fitted(odds: Mapping[float, int]) -> float | None:
    """The multiple of the log-odds under which the choices are likeliest; None where none above 0 is.

    Args:
        odds: log-odds of the label of the preferred answer -> pairs.

    Source: Guo et al. 2017, arXiv:1706.04599 (temperature scaling).
    """
    from scipy.optimize import brentq

    def slope(scale: float) -> float:
        return sum(count * each * (1 - chance(scale * each)) for each, count in odds.items())

    # the likelihood is concave in the multiple: its slope falls, from what it is at 0
    if slope(0) <= 0 or slope(_MOST_SCALE) >= 0:
        return None
    return float(brentq(slope, 0, _MOST_SCALE, xtol=1e-4))


def gather(outcomes: Iterable[Outcome]) -> Figures:
    """The figures of `outcomes`, which are streamed."""
    contests = accepted = counted = pairs = calls = tokens_in = tokens_out = 0
    left_out, rejected, how, rules = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    kinds, languages = Counter[str](), Counter[str]()
    made: set[str] = set()
    constitutions: set[str] = set()
    models: dict[str, set[str]] = {}
    certainty = bias = squares = 0.0
    flips, agreeing = _Hits(), _Agreeing()
    for outcome in outcomes:
        contests += 1
        accepted += outcome.status == "accepted"
        kinds[outcome.kind] += 1
        languages[outcome.language] += 1
        constitutions.add(outcome.constitution)
        for role, identity in outcome.models.items():
            models.setdefault(role, set()).add(identity)
        calls += len(outcome.calls)
        tokens_in += outcome.tokens.prompt
        tokens_out += outcome.tokens.completion
        if outcome.status == "rejected":
            rejected[outcome.reason or ""] += 1
        for duel in outcome.duels:
            pairs += 1
            if outcome.preferred is not None:
                agreeing.add(duel)  # the preferred one stands first in each pair
            how.update(look.how for look in duel.looks)
            rules.update(look.rule for look in duel.read)
            made.update(look.rule for look in duel.looks if look.made)
            if duel.reason is None:
                counted += 1
                certainty += duel.certainty
            else:
                left_out[duel.reason] += 1
            if duel.orders is not None:
                first, second = duel.orders
                leaning = (first - second) / 2
                bias += leaning
                squares += leaning**2
                flips.add((first > 0.5) != (second > 0.5))
    seen = flips.of
    return Figures(
        contests=contests,
        accepted=accepted,
        pairs=pairs,
        counted=counted,
        left_out=dict(left_out.most_common()),
        rejected=dict(rejected.most_common()),
        how=dict(sorted(how.items())),
        rules=dict(rules.most_common()),
        made_questions=tuple(sorted(made)),
        kinds=dict(kinds.most_common()),
        languages=dict(languages.most_common()),
        certainty=certainty / counted if counted else 0.0,
        position=Position(
            pairs=seen,
            bias=bias / seen if seen else 0.0,
            bias_error=mean_error(bias, squares, seen),
            flipped=flips.share(),
        ),
        agreement=agreeing.agreement(),
        calls=calls,
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        constitutions=tuple(sorted(constitutions)),
        models={role: tuple(sorted(found)) for role, found in sorted(models.items())},
    )
