"""What the disk has to be told beside the writing itself."""

from __future__ import annotations

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk: else a file may have its content and no name after a power cut.

    Raises:
        OSError: the folder cannot be read, or the disk fails.
    """
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
