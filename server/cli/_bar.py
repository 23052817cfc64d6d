"""How far a long count has come: a bar on a terminal, a plain line now and then elsewhere. On standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

_LINE_EVERY_S = 10.0


@contextmanager
def counting(what: str, total: int | None = None, *, quiet: bool = False) -> Iterator[Callable[[int], None]]:
    """Show a count of `what` until the block ends.

    Args:
        what: the things counted, as `rows`.
        total: how many there will be, if that is known.
        quiet: show nothing.

    Yields:
        a function to be called with how many more are done.
    """
    if quiet:
        yield lambda _: None
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task(what, total=total)
            yield lambda more: progress.advance(task, more)
    else:
        yield _lines(what, total)


def _lines(what: str, total: int | None) -> Callable[[int], None]:
    done, began = 0, time.monotonic()
    told = began

    def advance(more: int) -> None:
        nonlocal done, told
        done += more
        now = time.monotonic()
        if now - told >= _LINE_EVERY_S:
            told = now
            of = "" if total is None else f"/{total:,}"
            click.echo(f"{done:,}{of} {what}, {done / (now - began):,.0f} a second", err=True)

    return advance
