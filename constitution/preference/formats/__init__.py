"""Output formats of comparisons, one file each, found by their folder: each is a projection of the outcome."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

from constitution.formats import files
from constitution.formats.base import FormatError, Options, Written
from constitution.preference.contest import Outcome
from constitution.preference.formats.base import Format


def formats() -> list[str]:
    """Names of the formats: the files of this folder."""
    own = (info.name for info in pkgutil.iter_modules(__path__))
    return sorted(name for name in own if name != "base" and not name.startswith("_"))


def open_format(name: str) -> Format:
    """The module of a format.

    Raises:
        FormatError: there is no such format.
    """
    if name not in formats():
        raise FormatError(f"unknown format `{name}`", f"the formats are {', '.join(formats())}")
    return cast("Format", importlib.import_module(f"{__name__}.{name}"))


def write_formats(outcomes: Callable[[], Iterable[Outcome]], folder: Path, *, parquet: bool) -> tuple[Written, ...]:
    """Write all formats into `folder` in one pass over the outcomes; a file is whole or not there.

    Args:
        outcomes: gives them anew at each call; they are streamed, never held.
        folder: where the files go.
        parquet: Parquet files instead of JSON lines.

    Raises:
        FormatError: a file cannot be written.
    """
    # The writer of the loop's files hands on what it is given, and asks nothing of it.
    opened = cast("dict[str, Any]", {name: open_format(name) for name in formats()})
    rows = cast("Callable[[], Iterable[Any]]", outcomes)
    return files.write(opened, rows, folder, parquet=parquet, options=Options())
