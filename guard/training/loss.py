"""What heads are taught to do: tell any break from none, name the rule, and rank a harmful text above its twin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from guard.training.rows import Row

if TYPE_CHECKING:
    import torch

SMOOTH = 0.015
"""Labels are taken to be wrong so often; without it a few contestable pairs bend the border most."""

NAMING = 0.3
"""What naming the rule counts, beside telling a break from none."""

RANKING = 0.5
"""What ranking twins counts."""

MARGIN = 2.0
"""Logits that a harmful text should stand above its twin."""


@dataclass(frozen=True)
class Wanted:
    """The labels of a batch, as tensors."""

    harmful: torch.Tensor
    """(n,) 1 or 0."""
    weight: torch.Tensor
    """(n,)."""
    named: list[int]
    """Rows whose rules are known."""
    elsewhere: torch.Tensor
    """(len(named), rules) large and negative where the row breaks another rule than that column's."""
    twins: list[tuple[int, int]]
    """Rows of a harmless and a harmful twin."""


def wanted(rows: Sequence[Row], places: dict[str, int]) -> Wanted:
    """The labels of a batch; twins are found where they stand in it together."""
    import torch

    named = [place for place, row in enumerate(rows) if any(rule in places for rule in row.rules)]
    elsewhere = torch.full((len(named), len(places)), -1e4)
    for line, place in enumerate(named):
        elsewhere[line, [places[rule] for rule in rows[place].rules if rule in places]] = 0
    first: dict[str, int] = {}
    twins = []
    for place, row in enumerate(rows):
        if row.pair is None:
            continue
        other = first.setdefault(row.pair, place)
        if rows[other].harmful != row.harmful:
            twins.append((other, place) if row.harmful else (place, other))
    return Wanted(
        torch.tensor([float(row.harmful) for row in rows]),
        torch.tensor([row.weight for row in rows]),
        named,
        elsewhere,
        twins,
    )


def any_break(logits: torch.Tensor) -> torch.Tensor:
    """The logit that any rule is broken: (n,) from (n, rules); the same as `guard.trained.scoring.any_logit`."""
    import torch

    return torch.logsumexp(logits, 1)


def loss(logits: torch.Tensor, labels: Wanted) -> Any:
    """One number to make small, from (n, rules) logits."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits, softplus

    broken = any_break(logits)
    target = labels.harmful * (1 - 2 * SMOOTH) + SMOOTH
    total = (binary_cross_entropy_with_logits(broken, target, reduction="none") * labels.weight).mean()
    if labels.named:
        own = torch.logsumexp(logits[labels.named] + labels.elsewhere, 1)
        total = total + NAMING * ((broken[labels.named] - own) * labels.weight[labels.named]).mean()
    if labels.twins:
        harmless, harmful = (list(side) for side in zip(*labels.twins, strict=True))
        share = 2 * len(labels.twins) / len(logits)
        total = total + RANKING * share * softplus(MARGIN - (broken[harmful] - broken[harmless])).mean()
    return total
