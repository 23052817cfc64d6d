"""Alpaca instructions for LLaMA-Factory, with earlier turns as `history`.

A set that mixes prompts of one turn and of several is better taken as `sharegpt`, or as Parquet: a JSON reader that
sees only empty histories in its first block fixes their type as null and stops at the first full one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from constitution.formats.base import Options, Unfit, finished, origin, origin_type, refuse_tags, think
from constitution.formats.sharegpt import split_system
from constitution.row import Row

NAME = "alpaca"
ABOUT = "The same answers for LLaMA-Factory, Alpaca form with history."
HOW = """```yaml
dataset_dir: .
dataset: wardlaw_alpaca
mask_history: true        # else it learns the answers in `history` too, which no rule was held to
```"""

_TEXTS = ("id", "rules", "constitution", "language")
FEATURES: list[dict[str, Any]] = [
    {"name": "instruction", "dtype": "string"},
    {"name": "input", "dtype": "string"},
    {"name": "output", "dtype": "string"},
    {"name": "system", "dtype": "string"},
    {"name": "history", "list": {"list": "string"}},
    {
        "name": "wardlaw",
        "struct": [*({"name": name, "dtype": "string"} for name in _TEXTS), {"name": "benign", "dtype": "bool"}],
    },
]


def project(row: Row, options: Options) -> Iterator[dict[str, Any]]:
    """One line an accepted row."""
    pair = finished(row)
    if pair is None:
        return
    final = pair[1]
    refuse_tags(final, row.rationale)
    system, said = split_system(row.prompt)
    if len(said) % 2 == 0 or any(turn.role != ("user", "assistant")[at % 2] for at, turn in enumerate(said)):
        raise Unfit("the turns do not alternate between user and assistant")
    texts = [turn.content for turn in said]
    yield {
        "instruction": texts[-1],
        "input": "",
        "output": think(final, None if options.reasoning == "none" else row.rationale),
        "system": system,
        "history": [texts[at : at + 2] for at in range(0, len(texts) - 1, 2)],
        "wardlaw": origin(row),
    }


def schema(options: Options) -> Any:
    """Columns of a line."""
    import pyarrow as pa

    texts = [(name, pa.string()) for name in ("instruction", "input", "output", "system")]
    return pa.schema([*texts, ("history", pa.list_(pa.list_(pa.string()))), ("wardlaw", origin_type())])


def describe(file: str) -> dict[str, Any]:
    """Its entry in dataset_info.json."""
    columns = {
        "prompt": "instruction",
        "query": "input",
        "response": "output",
        "system": "system",
        "history": "history",
    }
    return {"file_name": file, "formatting": "alpaca", "columns": columns}
