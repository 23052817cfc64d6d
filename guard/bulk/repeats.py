"""Ids that several lines have: they are all judged, and told where their lines do not say the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_AT_ONCE = 20_000_000
"""Rows whose keys are held at once: some hundred megabytes. More are gone through in several passes."""
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Repeats:
    """Lines beyond the first of their id."""

    same: int = 0
    """That say the same as the first."""
    other: int = 0
    """That say something else: their id does not name one line."""
    shown: tuple[str, ...] = ()
    """A few ids that name several texts, each with two places."""


def find(shards: Sequence[Path], rows: int) -> Repeats:
    """Look for ids that come again, in any shard.

    Args:
        shards: the Parquet files.
        rows: how many rows they hold, about.

    Raises:
        OSError, pyarrow.ArrowException: a shard is damaged.
    """
    passes = 1 + rows // _AT_ONCE
    same = other = 0
    shown: list[int] = []
    for which in range(passes):
        more_same, more_other, keys = _one_pass(shards, which, passes)
        same, other = same + more_same, other + more_other
        shown += keys[: _SHOWN - len(shown)]
    return Repeats(same, other, tuple(_places(shards, shown)))


def _one_pass(shards: Sequence[Path], which: int, passes: int) -> tuple[int, int, list[int]]:
    """Repeats among the keys that leave `which` when divided by `passes`."""
    import numpy as np
    import pyarrow.parquet as pq

    parts = []
    for path in shards:
        table = pq.read_table(path, columns=["id_key", "content"]).drop_null()
        pairs = np.stack([table["id_key"].to_numpy(), table["content"].to_numpy()])
        parts.append(pairs[:, pairs[0] % passes == which])
    keys, content = np.concatenate(parts, axis=1) if parts else np.zeros((2, 0), np.int64)
    order = np.lexsort((content, keys))
    keys, content = keys[order], content[order]
    again = keys[1:] == keys[:-1]
    alike = again & (content[1:] == content[:-1])
    others = keys[1:][again & ~alike]
    return int(alike.sum()), len(others), np.unique(others)[:_SHOWN].tolist()


def _places(shards: Sequence[Path], keys: Sequence[int]) -> list[str]:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    found: dict[int, list[dict[str, Any]]] = {key: [] for key in keys}
    for path in shards if keys else ():
        table = pq.read_table(path, columns=["id_key", "content", "id", "file", "line"])
        for row in table.filter(pc.is_in(table["id_key"], pa.array(keys, pa.int64()))).to_pylist():
            seen = found[row["id_key"]]
            if len(seen) < 2 and row["content"] not in {each["content"] for each in seen}:
                seen.append(row)
    return [
        f"`{first['id']}` at {first['file']}:{first['line']} and {second['file']}:{second['line']}"
        for first, second in (pair for pair in found.values() if len(pair) == 2)
    ]
