"""Preference pairs for DPO and its kin: the final answer against the first, where a rule changed it.

Without reasoning by default. A first answer has none, so a pair with reasoning on one side alone is told apart by
the presence of a thought, and that shortcut is what the loss would teach. `options.preference_reasoning` puts the
rationale into `chosen` for those who want it, and know that.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from constitution.formats.base import (
    Options,
    answer,
    answer_type,
    bare,
    finished,
    message_type,
    origin,
    origin_type,
    turns,
)
from constitution.row import Row

NAME = "preference"
ABOUT = "Final answer against first answer, where a rule changed it (DPO: prompt, chosen, rejected)."
HOW = """```python
from trl import DPOConfig, DPOTrainer

rows = load_dataset(".", "preference", split="train")
DPOTrainer(MODEL, train_dataset=rows, processing_class=TOKENIZER, args=DPOConfig()).train()
```"""


def project(row: Row, options: Options) -> Iterator[dict[str, Any]]:
    """One line a row that was accepted and changed."""
    pair = finished(row)
    if pair is None or not row.changed or pair[0] == pair[1]:
        return
    first, final = pair
    yield {
        "prompt": turns(row.prompt),
        "chosen": [answer(final, row.rationale, options) if options.preference_reasoning else bare(final)],
        "rejected": [bare(first)],
        "wardlaw": origin(row),
    }


def schema(options: Options) -> Any:
    """Columns of a line."""
    import pyarrow as pa

    chosen = answer_type(options) if options.preference_reasoning else message_type()
    return pa.schema(
        [
            ("prompt", pa.list_(message_type())),
            ("chosen", pa.list_(chosen)),
            ("rejected", pa.list_(message_type())),
            ("wardlaw", origin_type()),
        ]
    )
