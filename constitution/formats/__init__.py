"""Output formats, one file each, found by their folder: each is a projection of the canonical row."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import pkgutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

from constitution.formats import files
from constitution.formats.base import Format, FormatError, Options, Unfit, Written
from constitution.row import Row

__all__ = [
    "Format",
    "FormatError",
    "Options",
    "Unfit",
    "Written",
    "formats",
    "open_format",
    "with_earlier",
    "write_dataset_info",
    "write_format",
    "write_formats",
]

_NOT_FORMATS = frozenset({"base", "files", "survival"})


def formats() -> list[str]:
    """Names of the formats: the files of this folder, and entry points of the group `wardlaw.formats`."""
    own = [info.name for info in pkgutil.iter_modules(__path__)]
    return sorted({name for name in (*own, *_plugged()) if name not in _NOT_FORMATS and not name.startswith("_")})


@cache
def _plugged() -> Mapping[str, importlib.metadata.EntryPoint]:
    # Once a process: each reading goes through the metadata of every distribution there is.
    points = importlib.metadata.entry_points(group="wardlaw.formats")
    return {point.name: point for point in reversed(tuple(points))}  # of two of one name the first


def open_format(name: str) -> Format:
    """The module of a format.

    Raises:
        FormatError: there is no such format, or a plug-in is not one.
    """
    if name not in formats():
        raise FormatError(f"unknown format `{name}`", f"the formats are {', '.join(formats())}")
    point = _plugged().get(name)
    found = importlib.import_module(f"{__name__}.{name}") if point is None else point.load()
    if not isinstance(found, Format):
        raise FormatError(f"`{name}` is no format", "it offers NAME, ABOUT, HOW, project and schema")
    return found


def write_formats(
    names: Sequence[str],
    rows: Callable[[], Iterable[Row]],
    folder: Path,
    *,
    parquet: bool = False,
    options: Options | None = None,
) -> tuple[Written, ...]:
    """Write several formats into `folder` in one pass over the rows; a file is whole or not there.

    Args:
        names: the formats.
        rows: gives the rows anew at each call; they are streamed, never held.
        folder: where the files go; made if it is not there.
        parquet: Parquet files instead of JSON lines.
        options: see Options.

    Raises:
        FormatError: an unknown format, or a file that cannot be written.
    """
    opened = {name: open_format(name) for name in dict.fromkeys(names)}
    return files.write(opened, rows, folder, parquet=parquet, options=options or Options())


def write_format(
    name: str,
    rows: Callable[[], Iterable[Row]],
    folder: Path,
    *,
    parquet: bool = False,
    options: Options | None = None,
) -> Written:
    """Write one format, as `write_formats` does."""
    return write_formats([name], rows, folder, parquet=parquet, options=options)[0]


def with_earlier(folder: Path, written: Sequence[Written]) -> tuple[Written, ...]:
    """`written`, and the format files that an earlier export left in `folder`; in the order of `formats()`.

    Raises:
        FormatError: a file cannot be read.
    """
    known = {item.name: item for item in written}
    earlier = files.present([name for name in formats() if name not in known], folder)
    return tuple(sorted((*written, *earlier), key=lambda item: item.name))


def write_dataset_info(folder: Path, written: Sequence[Written]) -> Path | None:
    """Write LLaMA-Factory's dataset_info.json for the files it can read; where there is none, no file and None.

    The sets are called `wardlaw_` and the name of the format. Files without a line are left out: it stops at them.

    Raises:
        FormatError: the file cannot be written.
    """
    entries = {}
    for item in written:
        describe = getattr(open_format(item.name), "describe", None)
        if describe is not None and item.lines:
            entries[f"wardlaw_{item.name}"] = describe(item.path.name)
    if not entries:
        (folder / "dataset_info.json").unlink(missing_ok=True)
        return None
    return files.write_text(folder / "dataset_info.json", json.dumps(entries, indent=2, ensure_ascii=False) + "\n")
