"""Harmless traffic through the whole gate: what its thresholds are set by.

Every detector looks at every row. A row that is flagged by what has no trained threshold (a pattern, a rule that has no
head or names a threshold of its own) is a false positive that no threshold can mend, and spends the budget first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from guard.exchange import Exchange
from guard.gate import BATCH_LIMIT, Gate
from guard.memory import key_of
from guard.training.calibrate import CalibrationError, Promise, allowed, percent, set_threshold
from guard.turns import earlier_turns, join
from guard.verdict import Finding, Verdict
from rules.schema import Part
from rules.words import listed

TRAINED = "meaning"
"""The detector whose thresholds are trained."""

_BY_HEAD = (TRAINED, f"{TRAINED}:stale")
"""How coverage lists a rule that has a head; one judged by its examples has a fixed border instead."""

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Row:
    """What the gate said of one harmless exchange."""

    where: str
    key: bytes
    """What rows that repeat each other share."""
    score: float
    """The highest score that a threshold decides on, from 0 to 1."""
    always: tuple[str, ...]
    """Rules that flag it whatever the threshold."""


def score_traffic(
    gate: Gate, exchanges: Iterable[tuple[str, Exchange]], progress: Callable[[int], object] = lambda _: None
) -> list[Row]:
    """Judge harmless exchanges.

    Args:
        gate: a thorough one, or rows that an earlier stage settles have no score.
        exchanges: with each, where it stands, as `file:line`.
        progress: called with the number of rows judged since the last call.

    Raises:
        CalibrationError: a detector failed, so that what it would have flagged is not known.
    """
    by_part = {part: _decided(gate, part) for part in Part}
    rows: list[Row] = []
    waiting = iter(exchanges)
    while batch := list(islice(waiting, BATCH_LIMIT)):
        texts = [exchange for _, exchange in batch]
        verdicts = gate.judge_many(texts)
        joined = _joined_scores(gate, texts, by_part[Part.PROMPT])
        for (where, exchange), verdict, together in zip(batch, verdicts, joined, strict=True):
            decided = by_part[exchange.part]
            if verdict.coverage.degraded:
                what = "; ".join(f"{name}: {why}" for name, why in verdict.coverage.degraded.items())
                raise CalibrationError(f"{where}: a detector failed ({what})", "mend it, then calibrate again")
            always = tuple(dict.fromkeys(each.rule for each in _always(verdict, decided)))
            rows.append(Row(where, key_of(exchange), max(_score(verdict, decided), together), always))
        progress(len(batch))
    return rows


def promise(rows: Sequence[Row], budget: float, traffic: str) -> Promise:
    """The lowest threshold that keeps the budget on such traffic.

    Rows that repeat are no independent draws, and rows left out for repeating would hide how often they come: the
    threshold has to hold with them and without them.

    Raises:
        CalibrationError: the rows cannot promise the budget; says how many it takes, or which rules spend it.
    """
    distinct = list({row.key: row for row in rows}.values())
    pools = [distinct] if len(distinct) == len(rows) else [distinct, rows]
    return max((_promise(pool, budget, traffic) for pool in pools), key=lambda found: found.threshold)


def _promise(rows: Sequence[Row], budget: float, traffic: str) -> Promise:
    hit = [row for row in rows if row.always]
    may = allowed(budget, len(rows))
    if may is not None and len(hit) > may:
        by = Counter(rule for row in hit for rule in row.always)
        named = ", ".join(f"`{rule}` {count:,}" for rule, count in by.most_common(5))
        raise CalibrationError(
            f"{len(hit):,} of {len(rows):,} benign rows are flagged whatever the threshold; {percent(budget)}"
            f" allows {may:,}",
            f"patterns, or rules without a head, flag them: narrow these rules ({named}); they flag"
            f" {listed(row.where for row in hit[:_SHOWN])}{' and others' if len(hit) > _SHOWN else ''}",
        )
    return set_threshold([row.score for row in rows if not row.always], budget, traffic, always=len(hit))


def _decided(gate: Gate, part: Part) -> frozenset[str]:
    """Rules that a trained threshold decides on in a part: those with a head, unless they name a threshold."""
    taught = [detector for detector in gate.detectors if detector.name == TRAINED]
    return frozenset(
        rule.id
        for rule in gate.constitution
        if rule.detect and rule.detect.meaning and rule.detect.meaning.threshold == "auto"
        if any(detector.covers(rule, part).by in _BY_HEAD for detector in taught)
    )


def _always(verdict: Verdict, decided: frozenset[str]) -> list[Finding]:
    return [each for each in verdict.findings if each.detector != TRAINED or each.rule not in decided]


def _score(verdict: Verdict, decided: frozenset[str]) -> float:
    return max((score for rule, score in verdict.scores.items() if rule in decided), default=0.0)


def _joined_scores(gate: Gate, exchanges: Sequence[Exchange], decided: frozenset[str]) -> list[float]:
    """The scores of the looks over joined turns, 0 where there is none: below today's threshold no verdict holds them.

    Earlier turns are joined unless something other than the threshold flags them, as it is yet to be set.
    """
    earlier = [earlier_turns(exchange) for exchange in exchanges]
    told = iter(gate.judge_many([turn for turns in earlier for turn in turns]))
    pieces = []
    for exchange, turns in zip(exchanges, earlier, strict=True):
        verdicts = [next(told) for _ in turns]
        clean = [replace(verdict, findings=tuple(_always(verdict, decided))) for verdict in verdicts]
        pieces.append(join(exchange, list(zip(turns, clean, strict=True))))
    scores = iter(gate.judge_many([piece.exchange for piece in pieces if piece is not None]))
    return [0.0 if piece is None else _score(next(scores), decided) for piece in pieces]
