"""Preference pairs with soft labels, for DPO and its kin."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from constitution.preference.contest import Outcome
from constitution.preference.formats.base import margin, origin, origin_type, pair, pair_fields

NAME = "preference"
ABOUT = (
    "Pairs with the probability that the chosen answer is the better (DPO: prompt, chosen, rejected, label, margin)."
)
HOW = """```python
from trl import DPOConfig, DPOTrainer

rows = load_dataset(".", "preference", split="train")
DPOTrainer(MODEL, train_dataset=rows, processing_class=TOKENIZER, args=DPOConfig()).train()
```

`label` is from 0.5 to 1. TRL's DPOTrainer takes no label a line, and reads the pair as certain. Keep the doubt in one
of two ways: drop what is near a tie, `rows.filter(lambda row: row["margin"] >= 0.2)`; or turn each pair round with
the probability that the label leaves to the other answer, anew each epoch. The mean of the loss is then the soft one,
`label * loss(chosen, rejected) + (1 - label) * loss(rejected, chosen)`:

```python
import random

def turned(row):
    if random.random() < row["label"]:
        return row
    return {**row, "chosen": row["rejected"], "rejected": row["chosen"]}

rows = rows.map(turned, load_from_cache_file=False)
```"""


def project(outcome: Outcome, _: object) -> Iterator[dict[str, Any]]:
    """One line a pair that counts."""
    for duel in outcome.duels:
        if duel.reason is None:
            yield {
                **pair(outcome, duel),
                "label": round(duel.certainty, 6),
                "margin": margin(duel),
                "wardlaw": origin(outcome, duel),
            }


def schema(_: object) -> Any:
    """Columns of a line."""
    import pyarrow as pa

    numbers = [("label", pa.float64()), ("margin", pa.float64())]
    return pa.schema([*pair_fields(), *numbers, ("wardlaw", origin_type())])
