"""The steps of a cycle, a file each."""

from __future__ import annotations

import importlib
from typing import cast

from constitution.cycle.step import Step

ORDER = ("probes", "ledger", "rows", "labels", "train", "calibrate", "check", "adopt")
"""In which they are done."""


def steps() -> list[Step]:
    """All steps, in order."""
    return [cast("Step", importlib.import_module(f"{__name__}.{name}")) for name in ORDER]
