"""An earlier evaluation beside this one: for each measure, the difference over the items that both have."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from constitution.evaluating.criterion import Item, within
from constitution.evaluating.intervals import paired_difference
from constitution.evaluating.report import Comparison, Made, Outcome, Pairing, Report

Items = Mapping[str, Mapping[str, Item]]
"""Criterion -> id -> item."""


def compare(
    folder: Path, before: Report, items_before: Items, made: Made, after: Items, outcomes: tuple[Outcome, ...]
) -> Comparison:
    """Pair the items of two evaluations by their ids.

    Args:
        folder: of the earlier one.
        before: the earlier one.
        items_before: its items.
        made: what determined this one.
        after: this one's items.
        outcomes: what this one's criteria came to.
    """
    earlier = {outcome.criterion: outcome for outcome in before.measured}
    now = {outcome.criterion: outcome for outcome in outcomes if not outcome.why_not}
    pairings = []
    for name, outcome in now.items():
        if name in earlier:
            pairings += _paired(outcome, items_before.get(name, {}), after.get(name, {}), made.seed)
    differs = before.made.differences(made)
    return Comparison(
        folder=str(folder),
        model=before.made.model,
        differs=tuple(each for each in differs if not each.startswith("model:")),
        caution=before.made.judged_otherwise(made),
        pairings=tuple(pairings),
        only_before=tuple(name for name in earlier if name not in now),
        only_after=tuple(name for name in now if name not in earlier),
    )


def _paired(outcome: Outcome, before: Mapping[str, Item], after: Mapping[str, Item], seed: int) -> list[Pairing]:
    both = [(before[name], item) for name, item in after.items() if name in before]
    found = []
    for measure in outcome.measures:
        name = measure.name
        pairs = [(old.values[name], new.values[name]) for old, new in both if name in old.values and name in new.values]
        olds, news = [old for old, _ in pairs], [new for _, new in pairs]
        bounds = within(measure.unit, measure.better)
        difference = paired_difference(olds, news, within=bounds, seed=seed)
        if difference is None:
            continue
        found.append(
            Pairing(
                criterion=outcome.criterion,
                measure=name,
                title=measure.title,
                unit=measure.unit,
                better=measure.better,
                pairs=len(pairs),
                before=sum(olds) / len(olds),
                after=sum(news) / len(news),
                difference=difference.value,
                low=difference.low,
                high=difference.high,
            )
        )
    return found
