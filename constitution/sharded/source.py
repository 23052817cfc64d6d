"""The reader as Ray Data knows a source: one task that yields parcels as they are wanted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from ray.data import Datasource, ReadTask
from ray.data.block import BlockMetadata

from constitution.sharded.parcel import packed
from constitution.sharded.reader import Reader


class Parcels(Datasource):  # type: ignore[misc]  # Ray is not typed for mypy here
    """All parcels of a run, a row each, under `parcel`."""

    def __init__(self, reader: Reader, cwd: str) -> None:
        """Args: cwd: the folder in which the input's names mean what the user meant."""
        super().__init__()
        self._reader = reader
        self._cwd = cwd

    def get_name(self) -> str:
        """What Ray calls it in its logs."""
        return "Parcels"

    def estimate_inmemory_data_size(self) -> int | None:
        """Unknown: the input is not read twice for it."""
        return None

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        """One task: the reader says why there are not more."""
        reader, cwd = self._reader, self._cwd

        def read() -> Iterator[Any]:
            import pyarrow as pa

            os.chdir(cwd)
            for parcel in reader.parcels():
                yield pa.table({"parcel": pa.array([packed(parcel)], pa.binary())})

        return [ReadTask(read, BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None))]
