"""What is remembered of a unit while it is judged, so that a text that kills its worker is found and left out.

A process that dies says nothing. So it says beforehand what it is about to do: a mark that is still there when the unit
is begun again tells that whoever had it died, and, once lines are judged one by one, at which line.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

DEATHS = 2
"""Times a worker may die at one line alone before the line is left out. The first may be chance: a machine that is
switched off, memory that another took."""


class Marks:
    """The marks of one unit."""

    def __init__(self, folder: Path, unit: str) -> None:
        """Read what an earlier worker left, and mark that this one began.

        Raises:
            OSError: it cannot be read or written.
        """
        self._path = folder / f"{unit}.json"
        self._deaths: dict[int, int] = {}
        self.careful = False
        """Whether a worker died at this unit before: its lines are to be judged one by one."""
        try:
            kept = json.loads(self._path.read_bytes())
            self._deaths = {int(line): count for line, count in kept["deaths"].items()}
            self.careful = True
            if kept["at"] is not None:
                self._deaths[kept["at"]] = self._deaths.get(kept["at"], 0) + 1
        except FileNotFoundError:
            pass
        except (ValueError, KeyError, TypeError, AttributeError):
            self.careful = True  # half written, so whoever wrote it died
        self._write(None)

    def deadly(self, line: int) -> bool:
        """Whether workers died at this line alone as often as is borne."""
        return self._deaths.get(line, 0) >= DEATHS

    def at(self, line: int) -> None:
        """Mark the line that is judged next, alone."""
        self._write(line)

    def clear(self) -> None:
        """The unit's shard is written."""
        self._path.unlink(missing_ok=True)

    def _write(self, at: int | None) -> None:
        # Not forced to the disk: it is there for the death of a process, and a machine's is no fault of a line.
        # A name of its own: a worker whose driver was killed may still be at the unit that another has begun.
        partial = self._path.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps({"at": at, "deaths": self._deaths}))
        partial.replace(self._path)
