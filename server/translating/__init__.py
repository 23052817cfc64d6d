"""From one API to another: a file or folder each, found by its `SOURCE` and `TARGET`."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from types import ModuleType


@cache
def _translators() -> dict[tuple[str, str], ModuleType]:
    found = {}
    for info in pkgutil.iter_modules(__path__):
        if not info.name.startswith("_"):
            module = importlib.import_module(f"{__name__}.{info.name}")
            if hasattr(module, "SOURCE") and hasattr(module, "TARGET"):
                found[module.SOURCE, module.TARGET] = module
    return found


def translator(source: str, target: str) -> ModuleType | None:
    """The module that translates requests of one dialect to another, and answers back.

    Args:
        source: the client's dialect.
        target: the upstream's.

    Returns:
        None where there is none.
    """
    return _translators().get((source, target))
