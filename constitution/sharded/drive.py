"""What draws the parcels through the workers: Ray Data works only while somebody draws."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from constitution.calls import BudgetSpent
from constitution.engines import EngineError
from constitution.sharded.parcel import Done, unpacked
from rules.errors import WardlawError


class Drive:
    """Draws what comes of the parcels, on a thread, until one says that the run has to end."""

    def __init__(self, dones: Iterator[Done]) -> None:
        self.ended = threading.Event()
        self._dones = dones
        self._stopped = False
        self._spent: WardlawError | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._draw, name="wardlaw-ray", daemon=True)
        self._thread.start()

    def _draw(self) -> None:
        try:
            for done in self._dones:
                if done.error is not None:
                    self._error = done.error
                if done.spent is not None:
                    self._spent = done.spent
                if self._stopped or not done.whole:
                    break
        except BaseException as error:  # told on the other thread
            self._error = error
        finally:
            self.ended.set()

    def stop(self) -> None:
        """Draw no more."""
        self._stopped = True

    def tell(self) -> None:
        """Raise what ended the run before its end.

        Raises:
            BudgetSpent, WardlawError: as a worker, or the reader, told it.
        """
        if isinstance(self._error, WardlawError):
            raise self._error
        if self._error is not None:
            raise gave_up(self._error) from None
        if self._spent is not None:
            raise BudgetSpent(self._spent.what, self._spent.hint)


def drawn(done: Any) -> Iterator[Done]:
    """What came of the parcels, as they get done; `done` is a Ray data set."""
    for batch in done.iter_batches(batch_size=None, prefetch_batches=0, batch_format="pyarrow"):
        for data in batch.column("done").to_pylist():
            yield unpacked(data)


def gave_up(error: BaseException) -> EngineError:
    """What Ray raised, told shortly."""
    what = " ".join(str(error).split())
    return EngineError(f"Ray gave up: {what[:400]}", "see its logs in /tmp/ray; run again to go on")
