"""Supervised fine-tuning: every accepted row as a conversation, in TRL's conversational form.

As `prompt` and `completion`, only the last answer and its reasoning are learnt. `options.sft` also knows one list of
`messages`: a trainer that masks by role then learns the assistant's earlier turns too, and these are as they came in,
no rule was held to them.
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
from trl import SFTTrainer

rows = load_dataset(".", "sft", split="train")
SFTTrainer(MODEL, train_dataset=rows).train()
```

TRL learns the `completion` alone, the answer with its reasoning, and no turn of the `prompt`. Where the file has one
column `messages` instead (the option `sft`: `messages`), add `args=SFTConfig(assistant_only_loss=True)`. That wants a
chat template that marks what is learnt; TRL puts one in for the models it knows. It also learns the assistant's earlier
answers."""


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
