"""Preference pairs for LLaMA-Factory: ShareGPT turns with one better and one worse answer (`ranking`).

Without reasoning by default, for the reason at the head of preference.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from constitution.formats.base import Options, finished, origin, origin_type, refuse_tags, think
from constitution.formats.sharegpt import COLUMNS, TAGS, conversation, split_system, turn_type
from constitution.row import Row

NAME = "sharegpt_preference"
ABOUT = "The preference pairs for LLaMA-Factory, ShareGPT form."
HOW = """```yaml
stage: dpo
dataset_dir: .
dataset: wardlaw_sharegpt_preference
```"""


def project(row: Row, options: Options) -> Iterator[dict[str, Any]]:
    """One line a row that was accepted and changed."""
    pair = finished(row)
    if pair is None or not row.changed or pair[0] == pair[1]:
        return
    first, final = pair
    refuse_tags(first, final, row.rationale)
    system, said = split_system(row.prompt)
    wanted = options.preference_reasoning and options.reasoning != "none"
    yield {
        "conversations": conversation(said),
        "chosen": {"from": "gpt", "value": think(final, row.rationale if wanted else None)},
        "rejected": {"from": "gpt", "value": first},
        "system": system,
        "wardlaw": origin(row),
    }


def schema(options: Options) -> Any:
    """Columns of a line."""
    import pyarrow as pa

    return pa.schema(
        [
            ("conversations", pa.list_(turn_type())),
            ("chosen", turn_type()),
            ("rejected", turn_type()),
            ("system", pa.string()),
            ("wardlaw", origin_type()),
        ]
    )


def describe(file: str) -> dict[str, Any]:
    """Its entry in dataset_info.json."""
    columns = {**COLUMNS, "chosen": "chosen", "rejected": "rejected"}
    return {"file_name": file, "formatting": "sharegpt", "ranking": True, "columns": columns, "tags": TAGS}
