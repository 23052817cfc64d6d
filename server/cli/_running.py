"""How a command that asks models is run and ended: stopped cleanly, with what is kept told, and the right exit code."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

import click

from rules.errors import WardlawError

Came = TypeVar("Came")

SPENT = 3
"""Exit code where the token budget is spent."""
STOPPED = 130
"""Exit code where the run was stopped."""
_GO_ON = "Run the same command to go on: no finished call is asked again."


def run(
    work: Coroutine[Any, Any, Came],
    showing: AbstractContextManager[None],
    out: Path,
    *,
    kept: Callable[[], str],
    worth: Callable[[], object],
) -> Came:
    """Do the work; Ctrl-C and SIGTERM end it cleanly, with exit code 130.

    Args:
        work: what to run.
        showing: shows how it goes on, see `_progress.py`.
        out: the folder in which it goes on.
        kept: says what is kept there by now, as `3 rows are kept`.
        worth: whether that is worth telling where the work fails: something is.

    Raises:
        WardlawError: the first of those that the work raises, with the word of what is kept.
    """
    try:
        with showing:
            return asyncio.run(_stoppable(work))
    except (KeyboardInterrupt, asyncio.CancelledError):
        click.echo(f"stopped: {kept()} in {out}. {_GO_ON}", err=True)
        sys.exit(STOPPED)
    except (WardlawError, BaseExceptionGroup) as error:
        first = _first(error)
        if not isinstance(first, WardlawError):
            raise
        if worth():
            first.hint = f"{first.hint}\n  {kept()} in {out}. {_GO_ON}".strip()
        if first is error:
            raise
        raise first from None


async def _stoppable(work: Coroutine[Any, Any, Came]) -> Came:
    """The work, cancelled by a signal; said at once, since a model that is just loading is waited for."""
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()

    def stop(sign: signal.Signals) -> None:
        click.echo("stopping ...", err=True)
        loop.remove_signal_handler(sign)  # a second one ends the process without ado
        if task is not None:
            task.cancel()

    if sys.platform != "win32":
        for sign in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(sign, stop, sign)
    return await work


def _first(error: BaseException) -> BaseException:
    """The first of a group's errors that is no mere cancellation, or the error itself."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves = [_first(each) for each in error.exceptions]
    return next((leaf for leaf in leaves if not isinstance(leaf, asyncio.CancelledError)), error)


def note_spent(spent: WardlawError | None) -> int:
    """Say that the budget is spent, where it is; the exit code, 0 where it is not."""
    if spent is None:
        return 0
    click.echo(f"note: {spent}", err=True)
    return SPENT


def note_failed(what: str, last: str) -> int:
    """Say what could not be finished; the exit code.

    Args:
        what: how many of what, as `3 rows`.
        last: why the last one could not.
    """
    click.echo(
        f"note: {what} could not be finished (last: {last}).\n  hint: run the same command again to try once more",
        err=True,
    )
    return 1
