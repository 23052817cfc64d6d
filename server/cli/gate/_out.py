"""The folder that new heads go to: free before, whole or not there after."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rules.errors import WardlawError


def check_free(out: Path) -> None:
    """See that a folder of heads can be written: it is not there, or empty.

    Raises:
        WardlawError: something is there.
    """
    if out.is_dir() and not any(out.iterdir()):
        return
    if out.exists():
        raise WardlawError(f"`{out}` is there already", "name a folder that is not there yet")


@contextlib.contextmanager
def beside(out: Path) -> Iterator[Path]:
    """A folder next to `out`, gone again unless it was renamed."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        try:
            partial.chmod(0o755)  # mkdtemp keeps others out
            yield partial
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise WardlawError(
            f"cannot write `{out}`: {error.strerror or error}", "give another folder, or make room"
        ) from error
