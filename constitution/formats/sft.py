"""Supervised fine-tuning: every accepted row as a conversation, in TRL's conversational form.

`options.sft` chooses between one list of `messages` and `prompt` with `completion`. With `messages`, a trainer that
masks by role also learns the assistant's earlier turns, and these are as they came in: no rule was held to them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from constitution.formats.base import (
    Options,
    answer,
    answer_type,
    finished,
    message_type,
    origin,
    origin_type,
    turns,
)
from constitution.row import Row

NAME = "sft"
ABOUT = "Accepted answers with their reasoning, to fine-tune on (TRL conversational)."
HOW = """```python
from datasets import load_dataset
from trl import SFTConfig, SFTTrainer

rows = load_dataset(".", "sft", split="train")
SFTTrainer(MODEL, train_dataset=rows, args=SFTConfig(assistant_only_loss=True)).train()
```

`assistant_only_loss` wants a chat template that marks what is learnt; TRL puts one in for the models it knows. Where
the file has `prompt` and `completion` columns (the option `sft`: `completion`), leave it out: TRL then learns the
completion alone."""


def project(row: Row, options: Options) -> Iterator[dict[str, Any]]:
    """One line an accepted row, changed or not: what needed no change teaches help."""
    pair = finished(row)
    if pair is None:
        return
    last = answer(pair[1], row.rationale, options)
    if options.sft == "completion":
        yield {"prompt": turns(row.prompt), "completion": [last], "wardlaw": origin(row)}
    else:
        yield {"messages": [*turns(row.prompt), last], "wardlaw": origin(row)}


def schema(options: Options) -> Any:
    """Columns of a line."""
    import pyarrow as pa

    said = answer_type(options)
    if options.sft == "completion":
        columns = [("prompt", pa.list_(message_type())), ("completion", pa.list_(said))]
    else:
        columns = [("messages", pa.list_(said))]
    return pa.schema([*columns, ("wardlaw", origin_type())])
