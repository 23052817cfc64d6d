"""`wardlaw evaluate` at work: how far it is, and bounds that are broken."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread
from typing import TYPE_CHECKING

import click

from rules.errors import WardlawError

if TYPE_CHECKING:
    from constitution.evaluating.criterion import Criterion
    from constitution.evaluating.evaluation import Evaluation
    from constitution.evaluating.report import Report

_EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class Bound:
    """What a figure may be at worst."""

    criterion: str
    measure: str | None
    """None for the headline."""
    value: float

    @property
    def name(self) -> str:
        """As it was given."""
        return f"{self.criterion}.{self.measure}" if self.measure else self.criterion


def bounds_of(given: Sequence[str], criteria: Sequence[Criterion]) -> list[Bound]:
    """Read `NAME[.FIGURE]=VALUE`; a value may be in percent.

    Raises:
        WardlawError: another form, or a criterion that is not measured.
    """
    from rules.words import did_you_mean, quoted

    names = [criterion.NAME for criterion in criteria]
    found = []
    for text in given:
        name, equals, value = text.partition("=")
        criterion, _, measure = name.strip().partition(".")
        number = _number(value)
        if not equals or number is None:
            raise WardlawError(f"--fail-on {quoted(text)} is no NAME=VALUE", "as `over-refusal=10%`")
        if criterion not in names:
            raise WardlawError(
                f"--fail-on: no criterion {quoted(criterion)} is measured", did_you_mean(criterion, names)
            )
        found.append(Bound(criterion, measure or None, number))
    return found


def _number(text: str) -> float | None:
    text = text.strip()
    try:
        return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        return None


def broken_bounds(bounds: Sequence[Bound], report: Report) -> list[str]:
    """What is worse than it may be, or could not be measured: no figure is no good figure.

    Raises:
        WardlawError: a criterion has no figure of that name, or none that could reach the bound.
    """
    from constitution.evaluating.criterion import within
    from constitution.evaluating.pages.figures import number, told
    from rules.words import did_you_mean, quoted

    outcomes = {outcome.criterion: outcome for outcome in report.outcomes}
    found = []
    for bound in bounds:
        outcome = outcomes[bound.criterion]
        if outcome.why_not:
            found.append(f"`{bound.name}` was not measured: {outcome.why_not}")
            continue
        named = {measure.name: measure for measure in outcome.measures}
        measure = named.get(bound.measure) if bound.measure else outcome.headline
        if measure is None:
            hint = did_you_mean(bound.measure or "", named)
            raise WardlawError(f"--fail-on: `{bound.criterion}` has no figure {quoted(bound.measure)}", hint)
        least, most = within(measure.unit, measure.better)
        if not least <= bound.value <= most:
            hint = f"write `{bound.name}={bound.value:g}%`" if measure.unit == "share" else "give a value within that"
            ends = f"{number(least, measure.unit)} to {number(most, measure.unit)}"
            raise WardlawError(f"--fail-on: `{bound.name}` is always from {ends}: no such bound can be broken", hint)
        value = abs(measure.value) if measure.better == "nearer 0" else measure.value
        worse = value < bound.value if measure.better == "higher" else value > bound.value
        if worse:
            low, at = number(bound.value, measure.unit), told(measure)
            found.append(
                f"`{bound.name}` is {at}, and may be {low} at {'least' if measure.better == 'higher' else 'most'}"
            )
    return found


def progress_line(evaluation: Evaluation) -> str:
    """How far it is, in a line."""
    meter, progress = evaluation.meter, evaluation.progress
    if meter.loading:
        return "loading models ..."
    failed = f", {progress.failed:,} could not be answered" if progress.failed else ""
    return (
        f"{progress.criterion} ({progress.number} of {progress.criteria}): {progress.done:,} of {progress.total:,}"
        f" items; {meter.calls:,} calls, {meter.in_flight} in flight{failed}"
    )


@contextmanager
def shown(line: Callable[[], str], *, quiet: bool) -> Iterator[None]:
    """A line of progress on standard error: in place on a terminal, else now and then."""
    if quiet:
        yield
        return
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        live = Live(
            get_renderable=lambda: Text(line()), console=Console(stderr=True), refresh_per_second=2, transient=True
        )
        with live:
            yield
        return
    ended = Event()

    def tell_now_and_then() -> None:
        while not ended.wait(_EVERY_S):
            click.echo(line(), err=True)

    thread = Thread(target=tell_now_and_then, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
