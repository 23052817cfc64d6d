"""What `wardlaw evaluate` prints: the criteria there are, and the tables of what was measured."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.table import Table

    from constitution.evaluating.evaluation import Evaluated, Evaluation
    from constitution.evaluating.report import Comparison, Report

_WIDTH = 100
"""Columns, where nobody says how many there are."""


def list_criteria(*, as_json: bool) -> None:
    """Print the criteria with what each needs."""
    from constitution.evaluating.criterion import criteria

    known = list(criteria().values())
    if as_json:
        from server.cli._json import as_text

        rows = [
            {
                "name": each.NAME,
                "title": each.TITLE,
                "needs": list(each.NEEDS),
                "definition": each.DEFINITION.strip(),
                "source": each.SOURCE.strip(),
            }
            for each in known
        ]
        click.echo(as_text(rows))
        return
    table = _table("criterion", "measures", "needs")
    for each in known:
        table.add_row(each.NAME, each.TITLE, ", ".join(need for need in each.NEEDS if need != "gate") or "-")
    _print(table)


def tell(evaluation: Evaluation, evaluated: Evaluated, *, as_json: bool) -> None:
    """Print what came out."""
    report = evaluated.report
    if as_json:
        from server.cli._json import as_text

        files = [str(path) for path in evaluated.files]
        click.echo(as_text({**report.model_dump(mode="json"), "files": files}))
        return
    from server.cli._summary import counted

    if report.measured:
        _print(_figures(report))
        click.echo()
    if any(outcome.reliability for outcome in report.measured):
        _print(_reliability(report))
        click.echo()
    for outcome in report.not_run:
        click.echo(f"not run: {outcome.criterion}: {outcome.why_not}")
    if report.comparison is not None:
        _tell_comparison(report.comparison)
    spent = report.spent
    click.echo(
        f"{counted(spent.calls, 'call')}, {spent.reused:,} taken from before; {spent.prompt:,} tokens in,"
        f" {spent.completion:,} out; look at {evaluated.files[-1]}"
    )


def _figures(report: Report) -> Table:
    from constitution.evaluating.pages.figures import spanned, told

    table = _table("", "value", "95% range", "n", "better", right=(1, 2, 3))
    for outcome in report.measured:
        table.add_row(outcome.criterion)
        for measure in outcome.main:
            table.add_row(f"  {measure.title}", told(measure), spanned(measure), f"{measure.n:,}", measure.better)
    return table


def _reliability(report: Report) -> Table:
    """Who judges, each beside people's labels: what it agrees in, and what always saying the commonest would."""
    from constitution.evaluating.pages.figures import number, span

    table = _table("reliability of", "agrees", "95% range", "labels", "commonest", "", right=(1, 2, 3, 4))
    for outcome in report.measured:
        if outcome.reliability:
            table.add_row(outcome.criterion)
        for each in outcome.reliability:
            table.add_row(
                f"  {each.by}, `{each.of}`",
                number(each.agreement),
                span(each),
                f"{each.labels:,}",
                "-" if each.baseline is None else number(each.baseline),
                "" if each.informs else "not shown to beat guessing",
            )
    return table


def _tell_comparison(comparison: Comparison) -> None:
    click.echo(f"\nagainst {comparison.folder} ({comparison.model}), over the items that both have:")
    for each in comparison.differs:
        click.echo(f"  made otherwise: {each}")
    if comparison.caution:
        click.echo(f"  {comparison.caution}")
    if comparison.pairings:
        _print(_pairings(comparison))
    else:
        click.echo("  they have none in common")
    click.echo()


def _pairings(comparison: Comparison) -> Table:
    from constitution.evaluating.pages.figures import change, number, span

    table = _table("", "then", "now", "difference", "95% range", "pairs", "", right=(1, 2, 3, 4, 5))
    last = ""
    for pairing in comparison.pairings:
        if "/" in pairing.measure:
            continue
        if pairing.criterion != last:
            table.add_row(pairing.criterion)
        table.add_row(
            f"  {pairing.title}",
            number(pairing.before, pairing.unit),
            number(pairing.after, pairing.unit),
            number(pairing.difference, pairing.unit, signed=True),
            span(pairing, pairing.unit, signed=True),
            f"{pairing.pairs:,}",
            change(pairing).replace("no clear difference", "unclear"),
        )
        last = pairing.criterion
    return table


def _table(*columns: str, right: Sequence[int] = ()) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for place, name in enumerate(columns):
        table.add_column(name, justify="right" if place in right else "left")
    return table


def _print(table: Table) -> None:
    from rich.console import Console

    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _WIDTH
    Console(highlight=False, markup=False, emoji=False, width=width).print(table)
