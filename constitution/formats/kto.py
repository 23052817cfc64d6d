"""Unpaired preference for KTO: accepted answers as good ones, the first answers they replaced as bad ones.

Without reasoning by default, for the reason at the head of preference.py: only good answers have any.
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

NAME = "kto"
ABOUT = "Final answers as good, the first answers they replaced as bad (KTO: prompt, completion, label)."
HOW = """```python
from trl import KTOConfig, KTOTrainer

rows = load_dataset(".", "kto", split="train")
KTOTrainer(MODEL, train_dataset=rows, processing_class=TOKENIZER, args=KTOConfig()).train()
```

KTO wants its two labels in balance: set `desirable_weight` and `undesirable_weight` by their counts."""


def project(row: Row, options: Options) -> Iterator[dict[str, Any]]:
    """A good line an accepted row, and a bad one where the answer was changed."""
    pair = finished(row)
    if pair is None:
        return
    first, final = pair
    prompt = turns(row.prompt)
    good = answer(final, row.rationale, options) if options.preference_reasoning else bare(final)
    lines = [{"prompt": prompt, "completion": [good], "label": True, "wardlaw": origin(row)}]
    if row.changed and first != final:
        lines.append({"prompt": prompt, "completion": [bare(first)], "label": False, "wardlaw": origin(row)})
    yield from lines


def schema(options: Options) -> Any:
    """Columns of a line."""
    import pyarrow as pa

    said = answer_type(options) if options.preference_reasoning else message_type()
    return pa.schema(
        [
            ("prompt", pa.list_(message_type())),
            ("completion", pa.list_(said)),
            ("label", pa.bool_()),
            ("wardlaw", origin_type()),
        ]
    )
