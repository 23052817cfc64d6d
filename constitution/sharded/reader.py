"""The input, read once in its order on the driver's node, and cut into parcels.

One reader for all files: what it does depends on the order (the mixing of harmless prompts, which of two equal prompts
is the first, `--limit`), and it is far faster than any model answers; docs/scale.md has its pace. It is cut the same
way however often it has to begin anew in a run: what is finished is looked up as it was when the run began.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

from constitution.drawn import Drawn
from constitution.input import Input
from constitution.prompt import Prompt
from constitution.row_file import StoreError
from constitution.sharded.parcel import Parcel, told
from constitution.sharded.plan import Plan
from constitution.sharded.shards import finished_ids
from constitution.sharded.state import Reading
from rules.errors import WardlawError

FINISHED = ".finished.sqlite"
"""Beside the shards while a run goes on: the ids of the rows that were finished when it began."""
_TELL_EVERY = 500


def index_finished(folder: Path) -> None:
    """Write down which rows are finished, for the reader.

    Raises:
        StoreError: a shard is damaged, or the folder cannot be written.
    """
    path = folder / FINISHED
    path.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("PRAGMA synchronous = OFF")  # made anew by every run
            db.execute("PRAGMA journal_mode = OFF")
            db.execute("CREATE TABLE finished (id TEXT PRIMARY KEY, constitution TEXT, run TEXT) WITHOUT ROWID")
            db.execute("BEGIN")
            db.executemany("INSERT OR REPLACE INTO finished VALUES (?, ?, ?)", finished_ids(folder))
            db.execute("COMMIT")
    except sqlite3.Error as error:
        raise StoreError(f"`{path}` cannot be written ({error})", "make room and run the same command again") from error


class Reader:
    """Cuts the input of a plan into parcels."""

    def __init__(self, plan: Plan, size: int, carry: Mapping[str, str], tell: Callable[[Reading], object]) -> None:
        """Args:
        plan: the run.
        size: prompts of a parcel.
        carry: id of a row -> the parcel of an earlier run in whose store calls for it lie.
        tell: takes how far the reader is, now and then.
        """
        self._plan = plan
        self._size = size
        self._carry = carry
        self._tell = tell

    def parcels(self) -> Iterator[Parcel]:
        """All parcels; where the input cannot be read on, the last one says why."""
        number = 0
        prompts: list[tuple[int, Prompt]] = []
        try:
            for position, prompt in self._todo():
                prompts.append((position, prompt))
                if len(prompts) == self._size:
                    yield self._parcel(number, prompts)
                    number, prompts = number + 1, []
        except OSError as error:  # a file went while it was read
            what = f"the prompts cannot be read on: {error.strerror or error}"
            what += f" (`{error.filename}`)" if error.filename else ""
            yield Parcel(self._name(number), (), error=WardlawError(what, "mend that and run the same command again"))
            return
        except Exception as error:  # whatever it is, it has to reach the driver, which ends the run with it
            yield Parcel(self._name(number), (), error=told(error))
            return
        if prompts:
            yield self._parcel(number, prompts)

    def _name(self, number: int) -> str:
        return f"{self._plan.session}-{number:08d}"

    def _parcel(self, number: int, prompts: list[tuple[int, Prompt]]) -> Parcel:
        carry = dict.fromkeys(self._carry[prompt.id] for _, prompt in prompts if prompt.id in self._carry)
        return Parcel(self._name(number), tuple(prompts), tuple(carry))

    def _todo(self) -> Iterator[tuple[int, Prompt]]:
        """The prompts that need a row, each with its place in the input."""
        given = Input(self._plan.settings)
        reading = Reading()
        finished = sqlite3.connect(f"file:{self._plan.out / FINISHED}?mode=ro", uri=True)
        with closing(finished), closing(Drawn()) as drawn:
            for position, prompt in enumerate(given.prompts()):
                reading.read = position + 1
                if position % _TELL_EVERY == 0:
                    self._told(reading, given)
                if not drawn.first(prompt.id):
                    reading.repeated += 1
                    continue
                query = "SELECT constitution, run FROM finished WHERE id = ?"
                made_by = finished.execute(query, (prompt.id,)).fetchone()
                if made_by is None:
                    yield position, prompt
                else:
                    reading.resumed[made_by] = reading.resumed.get(made_by, 0) + 1
        reading.ended = True
        self._told(reading, given)

    def _told(self, reading: Reading, given: Input) -> None:
        reading.skipped, reading.first_skipped = given.skipped.count, tuple(given.skipped.first)
        reading.mixture = given.mixture
        self._tell(reading)
