"""A file that is written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write(file: Path, data: bytes, mode: int = 0o600) -> None:
    """Put a file into its folder, in the place of one that is there; it is on the disk when this returns.

    Raises:
        OSError: it cannot be written; what was there is there still.
    """
    with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".tmp", delete=False) as opened:
        try:
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
        except BaseException:
            Path(opened.name).unlink(missing_ok=True)
            raise
    Path(opened.name).chmod(mode)
    Path(opened.name).replace(file)
