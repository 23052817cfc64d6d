"""The engine of one process: all rows in one event loop, kept in one SQLite file."""

from __future__ import annotations

from constitution.engines import EngineError, Where
from constitution.generate import Generation
from constitution.settings import Settings
from constitution.sharded.shards import is_sharded
from rules.schema import Constitution


def generation(settings: Settings, constitution: Constitution, where: Where) -> Generation:
    """A run in this process.

    Raises:
        EngineError: the folder is one of another engine, or something was said that is for others.
    """
    if where != Where():
        raise EngineError("`--address`, `--workers` and `--gpus` are for `--engine ray`", "say --engine ray, or none")
    if is_sharded(settings.out):
        raise EngineError(
            f"`{settings.out}` holds the shards of `--engine ray`", "say --engine ray, or use another --out folder"
        )
    return Generation(settings, constitution)
