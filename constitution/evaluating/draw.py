"""Which items are asked of many: drawn by the seed, the same in every run, and of a larger limit these and more."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import TypeVar

from constitution.desk import seed_of

T = TypeVar("T")


def draw(items: Sequence[T], limit: int | None, seed: int, name: str = "") -> list[T]:
    """At most `limit` of the items, in their own order."""
    if limit is None or len(items) <= limit:
        return list(items)
    return [items[place] for place in sorted(_order(len(items), seed, name)[:limit])]


def draw_evenly(groups: Mapping[str, Sequence[T]], limit: int | None, seed: int) -> dict[str, list[T]]:
    """At most `limit` of all the groups' items together, of each group as many as of the others where it has them.

    A group that gets none is left out.
    """
    names = list(groups)  # in an order of the seed's: with a small limit the first ones get all
    names = [names[place] for place in _order(len(names), seed, "groups")]
    orders = {name: _order(len(groups[name]), seed, name) for name in names}
    left = sum(map(len, orders.values())) if limit is None else limit
    taken: dict[str, list[int]] = {}
    for round_ in range(max(map(len, orders.values()), default=0)):
        for name, order in orders.items():
            if round_ < len(order) and left > 0:
                taken.setdefault(name, []).append(order[round_])
                left -= 1
    return {name: [groups[name][place] for place in sorted(taken[name])] for name in groups if name in taken}


def _order(count: int, seed: int, name: str) -> list[int]:
    order = list(range(count))
    random.Random(seed_of(seed, "drawn", name)).shuffle(order)
    return order
