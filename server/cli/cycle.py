"""`wardlaw cycle`: rules -> probes -> rows -> taught and calibrated gate -> guard, in one command."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from rules.errors import WardlawError
from rules.words import quoted
from server.cli._sections import Sectioned

if TYPE_CHECKING:
    from constitution.cycle.run import Cycle, Finished

_SECTIONS = {
    "Which steps": ("only", "start", "dry"),
    "Output": ("init", "as_json", "quiet"),
}
_STARTER = Path(__file__).parent / "_starter_cycle.yaml"
_EVERY_S = 10.0
_STILL_S = 60.0
_GO_ON = "Run the same command to go on: no finished step is done again, and no finished call asked again."


@click.command("cycle", cls=Sectioned, sections=_SECTIONS, short_help="probes, rows, teaching and check in one command")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--only", metavar="STEP", help="This step alone, also where nothing changed.")
@click.option("--from", "start", metavar="STEP", help="From this step on; it runs also where nothing changed.")
@click.option("--dry-run", "dry", is_flag=True, help="Say of each step whether it would run, and which input changed.")
@click.option("--init", is_flag=True, help="Write a FILE to begin from; nothing that is there is overwritten.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
def command(file: Path, only: str | None, start: str | None, dry: bool, init: bool, as_json: bool, quiet: bool) -> int:
    """Close the loop that FILE describes: probes of the rules, rows, labels, heads, thresholds, check, guard.

    Each step is skipped while what it goes by (rules, files, models, settings, earlier steps) is as it was. The new
    heads come into force, at the link `current` of the cycle's folder, where nothing got worse; point `wardlaw serve`
    or `wardlaw gate` there. Stop it when you like: the same command goes on where it was.

    Steps: probes, ledger, rows, labels, train, calibrate, check, adopt. docs/cycle.md tells of each.

    Exit codes: 0 done, 1 the new heads were refused or rows could not be finished, 2 an error, 3 a token budget is
    spent, 130 stopped.
    """
    if init:
        _write_starter(file)
        return 0
    if only is not None and start is not None:
        raise click.UsageError("give one of --only, --from")
    from constitution.cycle.run import opened, rules_changed_meanwhile
    from constitution.cycle.settings import read_cycle

    if not file.exists():
        raise WardlawError(f"no file {quoted(file)}", f"write one to begin from: `wardlaw cycle {file} --init`")
    settings = read_cycle(file).model
    if dry:
        cycle = opened(settings)
        _show_plan(cycle, only, start, as_json)
        return 0
    progress = _Progress(quiet=quiet)
    cycle = opened(settings, progress.told)
    try:
        with progress.watching(cycle), _stoppable():
            came = cycle.run(only=only, start=start)
    except KeyboardInterrupt:
        click.echo(f"stopped{f' in the step `{cycle.at}`' if cycle.at else ''}. {_GO_ON}", err=True)
        sys.exit(130)
    except WardlawError as error:
        raise _with_step(error, cycle) from None
    except BaseExceptionGroup as group:
        found = _first(group)
        raise (_with_step(found, cycle) if isinstance(found, WardlawError) else found) from None
    code = _close(came, settings.out, as_json)
    if rules_changed_meanwhile(cycle):
        click.echo("note: the rules were changed while this ran; they count for the next run", err=True)
    return code


def _close(came: Finished, folder: Path, as_json: bool) -> int:
    if as_json:
        from server.cli._json import as_text

        click.echo(as_text(dict(came.report)))
    else:
        from server.cli._cycle_told import show_report

        show_report(came.report, folder)
    if came.spent is not None:
        click.echo(f"note: {came.spent}", err=True)
        return 3
    for reason in came.refused:
        click.echo(f"not in force: {reason}", err=True)
    for step, what in came.unfinished.items():
        click.echo(f"note: {step}: {what}\n  hint: run the same command again to try once more", err=True)
    return int(bool(came.refused or came.unfinished))


def _show_plan(cycle: Cycle, only: str | None, start: str | None, as_json: bool) -> None:
    from constitution.cycle.foresight import extent

    planned, rules = cycle.plan(only=only, start=start), cycle.rules_changed()
    asked = extent(cycle.work.settings, cycle.work.constitution)
    if as_json:
        from server.cli._json import as_text

        click.echo(as_text({"rules_changed": rules, "steps": [asdict(each) for each in planned], "asked": asked}))
        return
    from server.cli._cycle_told import show_plan

    for line in rules:
        click.echo(f"rules changed: {line}")
    show_plan(planned, asked)


def _write_starter(file: Path) -> None:
    text = _STARTER.read_text(encoding="utf-8")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8", newline="\n") as opened:
            opened.write(text)
    except FileExistsError:
        raise WardlawError(f"`{file}` is there already", "name a file that is not there yet") from None
    except OSError as error:
        raise WardlawError(f"cannot write `{file}`: {error.strerror}", "choose another folder") from error
    first = (
        ""
        if (file.parent / "rules.yaml").exists()
        else f"  wardlaw init {file.parent}       # rules.yaml is not there\n"
    )
    click.echo(f"wrote {file}; read it, then:\n{first}  wardlaw cycle {file} --dry-run\n  wardlaw cycle {file}")


def _with_step(error: WardlawError, cycle: Cycle) -> WardlawError:
    """An error with the word in which step it came, and that what was done is kept."""
    if cycle.at:
        error.hint = f"{error.hint}\n  it came in the step `{cycle.at}`. {_GO_ON}".strip()
    return error


class _Progress:
    """Lines of progress on standard error, each with the minutes since the start."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._began = time.monotonic()

    def told(self, line: str) -> None:
        if not self._quiet:
            click.echo(f"{(time.monotonic() - self._began) / 60:5.1f} min  {line}", err=True)

    @contextmanager
    def watching(self, cycle: Cycle) -> Iterator[None]:
        """Tell of the step at work now and then, until the block ends."""
        if self._quiet:
            yield
            return
        from threading import Event, Thread

        ended = Event()

        def watch() -> None:
            last, again = "", 0.0
            while not ended.wait(_EVERY_S):
                if (watched := cycle.work.watched) is None:
                    continue
                line, now = f"{cycle.at}: {watched()}", time.monotonic()
                if line != last or now >= again:  # where nothing moves, a line a minute says that it is alive
                    self.told(line)
                    last, again = line, now + _STILL_S

        thread = Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


@contextmanager
def _stoppable() -> Iterator[None]:
    """SIGTERM ends the cycle as Ctrl-C does, also where a shell that began it in the background has Ctrl-C ignored."""

    def stop(number: int, frame: FrameType | None) -> None:
        signal.raise_signal(signal.SIGINT)

    # asyncio cancels the work where it finds this handler; else what is open would stay open
    handlers = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: stop}
    before = {sign: signal.signal(sign, handler) for sign, handler in handlers.items()}
    try:
        yield
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error of a person's that tasks raised; the group itself where there is none."""
    for error in group.exceptions:
        found = _first(error) if isinstance(error, BaseExceptionGroup) else error
        if isinstance(found, WardlawError):
            return found
    return group
