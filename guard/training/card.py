"""The card that is written beside trained heads: by what, how and on what they were taught."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from guard.trained.teaching import words_of
from guard.training.pool import Pool
from guard.training.recipe import Recipe
from guard.training.settings import Training
from rules.digest import constitution_digest


def card_of(what: Training, pool: Pool, losses: Sequence[float], figures: dict[str, object]) -> dict[str, object]:
    """What `Heads.save` does not know of itself."""
    import torch

    return {
        "made": datetime.now(UTC).strftime("%Y-%m-%d"),
        "constitution": constitution_digest(what.constitution),
        "name": what.constitution.name,
        "words": {rule.id: words_of(rule) for rule in what.constitution if rule.detect and rule.detect.meaning},
        "tuned": what.tuned and what.onto is None,
        "settings": {**asdict(what.how), "budget": what.budget, "unsure": what.unsure},
        "machine": f"{platform.machine()}, torch {torch.__version__}",
        "sources": {name: {**counts, **_origin(what.recipe, name)} for name, counts in pool.sources.items()},
        "left_out": dict(pool.counts),
        "losses": [round(loss, 4) for loss in losses],
        "held_out": figures,
    }


def _origin(recipe: Recipe, name: str) -> dict[str, object]:
    source = recipe.sources.get(name)
    return {"origin": source.origin, "licence": source.licence, "weight": source.weight} if source else {}
