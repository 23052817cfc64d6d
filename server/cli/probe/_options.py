"""The options that making probes and trying a model share, and how either is run."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rules.errors import WardlawError

if TYPE_CHECKING:
    from constitution.calls import Meter
    from constitution.probing.settings import Common
    from rules.schema import Constitution

Came = TypeVar("Came")

COMMON = ("model", "judge", "only", "seeds", "encoder", "language", "concurrency", "max_tokens_total", "out")
"""The parameters that `common_of` takes out."""

RUN = ("out", "anew", "max_tokens_total", "concurrency", "as_json", "quiet")
"""The parameters under the heading `Run`."""


def common_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of both."""
    options = (
        click.option(
            "-r",
            "--rules",
            multiple=True,
            default=("base",),
            show_default=True,
            metavar="PACK|FILE",
            help="The rules: a pack's name or a YAML file; may be given several times.",
        ),
        click.option("--rule", "only", multiple=True, metavar="ID", help="Only this rule; may be given several times."),
        click.option(
            "--seeds",
            type=click.Path(path_type=Path, dir_okay=False),
            metavar="FILE",
            help="More human-written prompts: JSONL of `rule`, `kind` (break or keep) and `prompt`.",
        ),
        click.option("--judge", metavar="MODEL", help="A model that says what is a break; best not the one it judges."),
        click.option(
            "--encoder",
            default="default",
            show_default=True,
            help="Of the gate, and for nearness: `default` (all-MiniLM-L6-v2), a sentence-transformers id or path, or"
            " `none`.",
        ),
        click.option(
            "--words",
            "language",
            type=click.Choice(["en", "zh"]),
            default="en",
            show_default=True,
            help="Language in which the models are asked.",
        ),
        click.option("--seed", type=int, default=0, show_default=True, help="All randomness comes from it."),
        click.option("--anew", is_flag=True, help="Write the files of a folder anew that were made otherwise."),
        click.option(
            "--max-tokens-total", type=click.IntRange(1), help="Most tokens, in and out, that the folder may ever cost."
        ),
        click.option(
            "--concurrency",
            type=click.IntRange(1, 1024),
            default=8,
            show_default=True,
            help="Calls to a model at once.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
        click.option("-q", "--quiet", is_flag=True, help="Show no progress."),
    )
    for option in reversed(options):  # decorators stack: the last one applied is shown first
        command = option(command)
    return command


def common_of(given: dict[str, Any]) -> Common:
    """Take what both share out of a command's parameters."""
    from constitution.probing.settings import Common

    taken = {name: given.pop(name) for name in COMMON}
    encoder = None if taken["encoder"] == "none" else taken["encoder"]
    budget = taken.pop("max_tokens_total")
    return Common(**{**taken, "encoder": encoder, "budget": budget})


def constitution_of(rules: tuple[str, ...]) -> Constitution:
    """The rules that were named."""
    from rules.load import load

    return load(*rules).constitution


def run(work: Coroutine[Any, Any, Came], meter: Meter, progress: Callable[[], str], out: Path, *, quiet: bool) -> Came:
    """Do the work with a line of progress now and then; Ctrl-C and SIGTERM end it cleanly.

    Raises:
        WardlawError: the first of those that the work raises, with the word that what was answered is kept.
    """
    try:
        with _telling(progress, quiet=quiet):
            return asyncio.run(_stoppable(work))
    except (KeyboardInterrupt, asyncio.CancelledError):
        click.echo(f"stopped: {meter.calls:,} calls are kept in {out}. {_GO_ON}", err=True)
        sys.exit(130)
    except BaseExceptionGroup as group:
        first = _first(group)
        if not isinstance(first, WardlawError):
            raise
        if meter.calls or meter.reused:
            first.hint = f"{first.hint}\n  {meter.calls + meter.reused:,} calls are kept in {out}. {_GO_ON}".strip()
        raise first from None


_GO_ON = "Run the same command to go on: no finished call is asked again."
_EVERY_S = 10.0


async def _stoppable(work: Coroutine[Any, Any, Came]) -> Came:
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


@contextmanager
def _telling(progress: Callable[[], str], *, quiet: bool) -> Iterator[None]:
    """A line of progress on standard error now and then: in place on a terminal."""
    if quiet:
        yield
        return
    from threading import Event, Thread

    ended = Event()

    def tell() -> None:
        while not ended.wait(_EVERY_S):
            click.echo(progress(), err=True)

    if sys.stderr.isatty():
        from rich.console import Console
        from rich.live import Live

        with Live(get_renderable=progress, console=Console(stderr=True), refresh_per_second=2, transient=True):
            yield
        return
    thread = Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    for error in group.exceptions:
        found = _first(error) if isinstance(error, BaseExceptionGroup) else error
        if isinstance(found, WardlawError) or not isinstance(found, asyncio.CancelledError):
            return found
    return group
