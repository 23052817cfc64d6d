"""What a run shows while it goes on: a live block on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from threading import Event, Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from constitution.calls import Meter
    from constitution.pipeline import Tally

_LINE_EVERY_S = 10.0
LOADING = "loading models ... (Ctrl-C is heard once a model is in memory)"
"""llama.cpp lets nothing else of this process run while it reads its file: a word must be said before."""
STARTING = "starting workers, which load their models ..."
"""On a cluster no model is loaded in this process."""
_FIRST_LINE_S = 0.2


@dataclass(frozen=True, slots=True)
class Prices:
    """Money a million tokens, in whatever currency."""

    prompt: float = 0.0
    completion: float = 0.0

    def of(self, prompt: float, completion: float) -> float | None:
        """What so many tokens cost; None where no price was given."""
        if not (self.prompt or self.completion):
            return None
        return (prompt * self.prompt + completion * self.completion) / 1e6


@dataclass(frozen=True, slots=True)
class View:
    """The figures of one moment."""

    tally: Tally
    meter: Meter
    total: int | None
    prices: Prices
    endpoints: Callable[[], tuple[int, int] | None] = lambda: None
    """How many endpoints of a pool take calls, and how many there are; None where there is no pool."""
    loading: str = LOADING
    """What is said until a model can be asked."""

    @property
    def seconds(self) -> float:
        """Seconds since the first call: loading models says nothing of the pace."""
        return max(time.monotonic() - self.meter.began, 1e-9) if self.meter.began is not None else 1e-9

    @property
    def done(self) -> int:
        """Rows finished, by this run or before it, and prompts that need no row."""
        return self.tally.finished + self.tally.resumed + self.tally.repeated + self.tally.failed

    def rows(self) -> str:
        """`12/100 rows (9 accepted, 75%)`, and what else there is to say of rows."""
        tally = self.tally
        of = f"/{self.total}" if self.total is not None else ""
        share = f", {100 * tally.accepted / tally.finished:.0f}%" if tally.finished else ""
        more = [
            f"{count} {word}"
            for count, word in (
                (tally.resumed, "from before"),
                (tally.repeated, "repeated prompts"),
                (tally.failed, "put aside"),
            )
            if count
        ]
        return f"{self.done}{of} rows ({tally.accepted} accepted{share})" + "".join(f", {item}" for item in more)

    def speed(self) -> str:
        """Tokens a second since the first call, and calls in flight."""
        rate = self.meter.usage.completion / self.seconds
        return f"{rate:,.0f} tokens/s out, {self.meter.in_flight} calls in flight"

    def up(self) -> str:
        """`3 of 4 up`; empty where there is no pool."""
        endpoints = self.endpoints()
        return "" if endpoints is None else f"{endpoints[0]} of {endpoints[1]} up"

    def left(self) -> str:
        """The time to go, from the pace so far."""
        if self.total is None or not self.tally.finished:
            return "unknown"
        left = max(0, self.total - self.done) * self.seconds / self.tally.finished
        hours, rest = divmod(int(left), 3600)
        return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"

    def cost(self) -> str:
        """Tokens and money so far, and what the whole will come to."""
        usage = self.meter.usage
        text = f"{usage.prompt:,} in + {usage.completion:,} out"
        spent = self.prices.of(usage.prompt, usage.completion)
        if spent is not None:
            text += f" = {spent:,.4f}"
        if self.total is not None and self.tally.finished:
            factor = max(0, self.total - self.done) / self.tally.finished
            whole = (usage.prompt + usage.completion) * (1 + factor)
            text += f"; forecast {whole:,.0f}"
            money = self.prices.of(usage.prompt * (1 + factor), usage.completion * (1 + factor))
            text += f" = {money:,.4f}" if money is not None else ""
        return text

    def line(self) -> str:
        """All of it in one line."""
        if self.meter.loading:
            return self.loading
        endpoints = f"endpoints {up}; " if (up := self.up()) else ""
        return f"{self.rows()}; {self.speed()}; {endpoints}left {self.left()}; tokens {self.cost()}"

    def table(self) -> Table:
        """All of it as a small block."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim")
        grid.add_column()
        if self.meter.loading:
            grid.add_row(self.loading)
            return grid
        if self.total:
            grid.add_row("", ProgressBar(total=self.total, completed=min(self.done, self.total), width=48))
        grid.add_row("rows", self.rows())
        grid.add_row("speed", self.speed())
        if up := self.up():
            grid.add_row("endpoints", up)
        grid.add_row("left", self.left())
        grid.add_row("tokens", self.cost())
        if self.tally.last_failure:
            grid.add_row("put aside", f"[yellow]{_escaped(self.tally.last_failure[:160])}")
        return grid


def shown(view: View, *, quiet: bool = False) -> AbstractContextManager[None]:
    """Show `view` on standard error until the block ends."""
    return _showing(view.table, view.line, 4, lambda: view.meter.loading, quiet=quiet)


def told(line: Callable[[], str], *, quiet: bool = False) -> AbstractContextManager[None]:
    """Show one line on standard error until the block ends: in place on a terminal, now and then elsewhere."""
    return _showing(line, line, 2, lambda: False, quiet=quiet)


@contextmanager
def _showing(
    block: Callable[[], RenderableType],
    line: Callable[[], str],
    pace: float,
    at_once: Callable[[], bool],
    *,
    quiet: bool,
) -> Iterator[None]:
    """Args: block: for a terminal, `pace` times a second. line: elsewhere; one comes early where `at_once` says so."""
    if quiet:
        yield
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.live import Live

        with Live(get_renderable=block, console=Console(stderr=True), refresh_per_second=pace, transient=True):
            yield
    else:
        ended = Event()
        thread = Thread(target=_lines, args=(line, at_once, ended), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def _lines(line: Callable[[], str], at_once: Callable[[], bool], ended: Event) -> None:
    if not ended.wait(_FIRST_LINE_S) and at_once():
        print(line(), file=sys.stderr, flush=True)  # noqa: T201  # as below
    while not ended.wait(_LINE_EVERY_S):
        print(line(), file=sys.stderr, flush=True)  # noqa: T201  # this is the command line's own output


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
