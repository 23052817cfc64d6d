"""The tail of a model's name, `?context=4096&threads=2`: options of a local backend, and the mark of a weights file."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from guard.models.base import ModelConfigError

_BLOCK = 64 * 1024
_BLOCKS = 32


def split_options(name: str, readers: Mapping[str, Callable[[str], Any]]) -> tuple[str, dict[str, Any]]:
    """Part `what?key=value&key=value` into `what` and its options, each read by its reader.

    Args:
        name: the model's name without its scheme. The options start at the last `?`.
        readers: the options that are known; a reader raises ValueError on a value it cannot take.

    Raises:
        ModelConfigError: an unknown or repeated option, or a value that its reader refuses.
    """
    what, mark, tail = name.rpartition("?")
    if not mark:
        return name, {}
    options: dict[str, Any] = {}
    for key, value in parse_qsl(tail, keep_blank_values=True):
        if key not in readers:
            near = difflib.get_close_matches(key, readers, n=1)
            meant = f"did you mean `{near[0]}`?" if near else f"the options are {', '.join(sorted(readers))}"
            raise ModelConfigError(f"unknown option `{key}` in the model name `{name}`", meant)
        if key in options:
            raise ModelConfigError(f"option `{key}` is given twice in the model name `{name}`", "leave one of them")
        try:
            options[key] = readers[key](value)
        except ValueError as error:
            raise ModelConfigError(
                f"option `{key}` cannot be `{value}` in the model name `{name}`", str(error)
            ) from None
    return what, options


def at_least(least: int) -> Callable[[str], int]:
    """A reader of whole numbers from `least` up."""

    def read(value: str) -> int:
        if not value.isascii() or not value.isdigit() or int(value) < least:
            raise ValueError(f"give a whole number from {least} up")
        return int(value)

    return read


def one_of(*values: str) -> Callable[[str], str]:
    """A reader that takes one of `values`."""

    def read(value: str) -> str:
        if value not in values:
            raise ValueError(f"give one of {', '.join(values)}")
        return value

    return read


def weights_mark(path: Path) -> str:
    """Twelve hex digits that change when the file is swapped for another.

    Blocks spread over the whole file are hashed, not its head alone: a fine-tune has the head, tokenizer and size of
    its parent, and only the weights differ. All of a file of gigabytes would take longer to read than to load.

    Raises:
        OSError: the file cannot be read.
    """
    size = path.stat().st_size
    seen = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        for index in range(_BLOCKS):
            file.seek(max(0, size - _BLOCK) * index // (_BLOCKS - 1))
            seen.update(file.read(_BLOCK))
    return seen.hexdigest()[:12]


def missing_hint(path: Path, kind: str, ending: str = "") -> str:
    """What to do where there is nothing at `path`: the name that is nearest to it there, or what its folder lacks.

    Args:
        path: what was named.
        kind: `file` or `folder`.
        ending: that of the files in question.
    """
    folder = path.parent
    if not folder.is_dir():
        return f"there is no folder `{folder}` either: see that the path is right"
    try:
        there = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(ending))
    except OSError:
        there = []
    near = difflib.get_close_matches(path.name, there, n=1)
    if near:
        return f"did you mean `{folder / near[0]}`?"
    if ending and there:
        return f"`{folder}` holds {', '.join(f'`{name}`' for name in there[:5])}"
    return f"see that the path is right: `{folder.resolve()}` holds no such {kind}"
