"""What a run makes of failures: one item that no model answers must not end it, a model that answers nothing must."""

from __future__ import annotations

from constitution.calls import BudgetSpent
from guard.models.base import ModelError, ModelUnavailable

_IN_A_ROW = 5
"""Failures one after the other, with nothing finished in between, from which on the model is taken to be broken."""


class Failures:
    """Counts those in a row."""

    __slots__ = ("_in_a_row",)

    def __init__(self) -> None:
        self._in_a_row = 0

    def end(self) -> None:
        """An item was finished."""
        self._in_a_row = 0

    def count(self, error: ModelError) -> None:
        """A model could not answer for one item.

        Raises:
            ModelError: this one, where the endpoint is down or too many failed in a row.
        """
        self._in_a_row += 1
        down = isinstance(error, ModelUnavailable) and error.endpoint_down
        if down or self._in_a_row >= _IN_A_ROW:
            raise error


def cause(failed: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error to tell of: what cannot be mended by going on comes before a spent budget."""
    causes = [cause(error) if isinstance(error, BaseExceptionGroup) else error for error in failed.exceptions]
    serious = [error for error in causes if not isinstance(error, BudgetSpent)]
    return (serious or causes)[0]
