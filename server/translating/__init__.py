"""From one API to another: a file or folder each, found by its `SOURCE` and `TARGET`."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import cast

from server.translating.base import Translator


@cache
def translators() -> tuple[Translator, ...]:
    """Every translator that there is: what lies in this folder."""
    names = [info.name for info in pkgutil.iter_modules(__path__)]
    return tuple(
        cast("Translator", importlib.import_module(f"{__name__}.{name}"))
        for name in names
        if name != "base" and not name.startswith("_")
    )
