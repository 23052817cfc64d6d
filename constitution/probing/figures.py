"""The figures of a run of making, a line a side: what the card, the table and `--json` say."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from constitution.probing.probe import Probe
from constitution.probing.side import ENDS, Side
from guard.training.metrics import Interval, share

if TYPE_CHECKING:
    from constitution.calls import Meter
    from constitution.probing.making import Made
    from constitution.probing.trying import Tried


def side_figures(side: Side) -> dict[str, Any]:
    """The figures of one side of a rule."""
    probes = side.probes
    cosines = [found for probe in probes if (found := probe.lineage.novelty.cosine) is not None]
    return {
        "rule": side.rule,
        "kind": side.kind,
        "wanted": side.wanted,
        "probes": len(probes),
        "end": side.end or "stopped",
        "why": ENDS.get(side.end, "the run was stopped"),
        "seeds": side.seeds,
        "rounds": side.rounds,
        "texts": side.texts,
        "yield": interval(share(len(probes), side.texts)),
        "rejected": dict(side.reasons.most_common()),
        "mean_nearest_rouge": _mean([probe.lineage.novelty.rouge for probe in probes]),
        "mean_nearest_cosine": _mean(cosines),
        "gate_finds": interval(share(sum(probe.lineage.decision.found for probe in probes), len(probes))),
        "languages": dict(Counter(probe.language for probe in probes).most_common()),
        "styles": dict(Counter(probe.lineage.brief["style"] for probe in probes).most_common()),
        "personas": dict(Counter(probe.lineage.brief["persona"] for probe in probes).most_common()),
        "lengths": dict(Counter(_length(probe) for probe in probes).most_common()),
        "length_as_asked": interval(
            share(sum(_length(probe) == probe.lineage.brief["length"] for probe in probes), len(probes))
        ),
        "conversations": sum(len(probe.messages) > 1 for probe in probes),
        "distinct_bigrams": _distinct(probes),
    }


def making_figures(made: Made, meter: Meter) -> dict[str, Any]:
    """The figures of a run."""
    plain = {probe.id: probe.lineage.decision.found for side in made.sides for probe in side.probes}
    views = [(view, found) for view, found in made.disguised if view.kind == "break"]
    seen = [found for view, found in views if view.parent and plain.get(view.parent)]
    return {
        "sides": [side_figures(side) for side in made.sides],
        "probes": len(plain),
        "disguised": len(made.disguised),
        "disguised_still_found": interval(share(sum(seen), len(seen))),
        "short": len(made.short),
        "calls": {"made": meter.calls, "reused": meter.reused},
        "tokens": {"prompt": meter.usage.prompt, "completion": meter.usage.completion},
    }


def trying_figures(tried: Tried, meter: Meter) -> dict[str, Any]:
    """The figures of a run of attempts."""
    broken, attempts = sum(rate.broken for rate in tried.rates), sum(rate.attempts for rate in tried.rates)
    return {
        "rules": [{**dataclasses.asdict(rate), "rate": interval(rate.rate)} for rate in tried.rates],
        "attempts": attempts,
        "broken": broken,
        "rate": interval(share(broken, attempts)),
        "skipped": tried.skipped,
        "calls": {"made": meter.calls, "reused": meter.reused},
        "tokens": {"prompt": meter.usage.prompt, "completion": meter.usage.completion},
    }


def interval(found: Interval | None) -> dict[str, float] | None:
    """An interval as JSON."""
    if found is None:
        return None
    return {name: round(getattr(found, name), 4) for name in ("value", "low", "high")}


def _mean(values: Sequence[float]) -> float | None:
    return round(sum(values) / len(values), 4) if values else None


def _length(probe: Probe) -> str:
    from constitution.checks import words_in

    words = words_in(probe.text)
    return "short" if words <= 15 else "medium" if words <= 45 else "long"


def _distinct(probes: Sequence[Probe]) -> float | None:
    """Share of the pairs of neighbouring tokens that are unlike all others (distinct-2; Li et al. 2016)."""
    from constitution.probing.novelty import tokens_of

    pairs = [pair for probe in probes for pair in pairwise(tokens_of(probe.text))]
    return round(len(set(pairs)) / len(pairs), 4) if pairs else None
