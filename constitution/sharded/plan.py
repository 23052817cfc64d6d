"""What every worker is told: enough to open models, gate and loop as the local engine does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from constitution.settings import Settings
from constitution.templates import TemplateSet
from rules.schema import Constitution

ROWS = "rows"
"""Folder of the finished shards, in the output folder."""
WORK = "work"
"""Folder of the stores of parcels at work, in the output folder."""
MARK = ".ray"
"""A file in the output folder that holds the session: a worker that does not read it there sees another folder."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One run, for its workers."""

    settings: Settings
    constitution: Constitution
    templates: TemplateSet
    out: Path
    """The output folder, absolute."""
    session: str
    """Name of this run; parcels are called after it."""
    concurrency: int
    """Rows that a worker has at work."""
