"""Pairs for a reward model: chosen, rejected, and the margin by which the rewards are to differ at least."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from constitution.preference.contest import Outcome
from constitution.preference.formats.base import margin, origin, origin_type, pair, pair_fields

NAME = "reward"
ABOUT = "Pairs with a margin, for a reward model (TRL RewardTrainer: prompt, chosen, rejected, margin)."
HOW = """```python
from trl import RewardConfig, RewardTrainer

rows = load_dataset(".", "reward", split="train")
RewardTrainer(MODEL, train_dataset=rows, processing_class=TOKENIZER, args=RewardConfig()).train()
```

`margin` is from 0 to 1, twice the label less one; the trainer takes it off the difference of the rewards
(Touvron et al. 2023, arXiv:2307.09288), so that sure pairs are pushed further apart."""


def project(outcome: Outcome, _: object) -> Iterator[dict[str, Any]]:
    """One line a pair that counts."""
    for duel in outcome.duels:
        if duel.reason is None:
            yield {**pair(outcome, duel), "margin": margin(duel), "wardlaw": origin(outcome, duel)}


def schema(_: object) -> Any:
    """Columns of a line."""
    import pyarrow as pa

    return pa.schema([*pair_fields(), ("margin", pa.float64()), ("wardlaw", origin_type())])
