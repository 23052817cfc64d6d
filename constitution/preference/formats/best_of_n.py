"""Best of n: all answers to a prompt with their scores, and the best one as a completion to learn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from constitution.formats.base import Unfit, bare, message_type, turns
from constitution.preference.contest import Outcome
from constitution.preference.formats.base import origin, origin_type

NAME = "best_of_n"
ABOUT = "The answers to a prompt with their scores, and the best one (SFT: prompt, completion; answers, scores, best)."
HOW = """```python
from trl import SFTConfig, SFTTrainer

rows = load_dataset(".", "best_of_n", split="train")
SFTTrainer(MODEL, train_dataset=rows, processing_class=TOKENIZER, args=SFTConfig()).train()
```

A score is the mean probability that the answer is the better, over its pairs; `best` is the place, from 0, of the
highest."""


def project(outcome: Outcome, _: object) -> Iterator[dict[str, Any]]:
    """One line a prompt of which at least one pair counts.

    Raises:
        Unfit: an answer has no score, since none of its pairs could be read.
    """
    if outcome.status != "accepted":
        return
    if outcome.best is None:
        raise Unfit("an answer has no score")
    yield {
        "prompt": turns(outcome.prompt),
        "completion": [bare(outcome.answers[outcome.best])],
        "answers": list(outcome.answers),
        "scores": [round(score or 0.0, 6) for score in outcome.scores],
        "best": outcome.best,
        "wardlaw": origin(outcome),
    }


def schema(_: object) -> Any:
    """Columns of a line."""
    import pyarrow as pa

    return pa.schema(
        [
            ("prompt", pa.list_(message_type())),
            ("completion", pa.list_(message_type())),
            ("answers", pa.list_(pa.string())),
            ("scores", pa.list_(pa.float64())),
            ("best", pa.int64()),
            ("wardlaw", origin_type()),
        ]
    )
