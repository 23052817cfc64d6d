"""Files that a pattern stands for."""

from __future__ import annotations

import glob
from pathlib import Path


def is_pattern(name: str) -> bool:
    """Whether a name holds `*`, `?` or `[`."""
    return glob.has_magic(name)


def files_like(pattern: str) -> list[str]:
    """The files whose path is like `pattern` (`**`: any folders), by name; there may be none."""
    # Not Path.glob: it takes no pattern that begins at the root, and would write the names otherwise.
    return sorted(path for path in glob.glob(pattern, recursive=True) if Path(path).is_file())  # noqa: PTH207
