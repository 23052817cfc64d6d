"""What a cycle came to, as tables on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from constitution.cycle.run import Planned

_WIDTH = 170
_MOST = 12
"""Rules that the table of coverage lists."""


def show_plan(planned: Sequence[Planned]) -> None:
    """A line a step: whether it would run, and why."""
    _table(("step", "", "why"), [(each.step, each.action, each.why) for each in planned])


def show_report(report: Mapping[str, Any], folder: object) -> None:
    """What the cycle changed: gate, ledger, rules, rows, and what each step cost."""
    from constitution.cycle.report import reasons, share

    gate = report["gate"]
    if gate:
        rows = [
            (
                each["set"],
                f"{each['rows']:,}",
                share(each["before"]["recall"]),
                share(each["after"]["recall"]),
                share(each["before"]["false_alarms"]),
                share(each["after"]["false_alarms"]),
            )
            for each in [*gate["sets"], *_of_ledger(gate["ledger"])]
        ]
        _table(("gate", "rows", "found: before", "after", "harmless flagged: before", "after"), rows, right=(1,))
        click.echo()
        tests = gate["tests"]
        click.echo(
            f"tests: {tests['failing']:,} of {tests['run']:,} fail, {tests['worse']:,} of them not before;"
            f" clauses of contracts not kept: {len(gate['breaches']['all']):,}, {len(gate['breaches']['new']):,} of"
            " them not before"
        )
        if ledger := gate["ledger"]:
            click.echo(
                f"ledger: {ledger['fixed']:,} fixed, {ledger['still_open']:,} still open,"
                f" {ledger['regressed']:,} came back, of {ledger['finds']:,} finds"
            )
    _show_coverage(report["coverage"])
    rows = report["rows"]
    if rows and "rows" in rows:
        click.echo(
            f"rows: {rows['rows']:,}, of them {rows['new']:,} new and {rows['remade']:,} made anew;"
            f" {rows['accepted']:,} accepted, {rows['rejected']:,} rejected: {reasons(rows['reasons'])}"
        )
    click.echo()
    _table(
        ("step", "", "calls", "from before", "tokens in", "out", "seconds"),
        [
            (
                each["step"],
                each["did"],
                *(f"{each[name]:,}" for name in ("calls", "reused", "tokens_in", "tokens_out")),
                f"{each['seconds']:.1f}",
            )
            for each in report["steps"]
        ],
        right=(2, 3, 4, 5, 6),
    )
    click.echo()
    adopted = report["adopt"] or {}
    if adopted.get("adopted"):
        click.echo(f"in force: {folder}/current, which leads to heads/{adopted['in_force']}")
    elif report["whole"] and not report["refused"]:
        click.echo(f"no new heads in force: {adopted.get('why', '')}")
    if report["whole"]:
        click.echo(f"cycle {report['cycle']}: look at {folder}/README.md")


def _of_ledger(ledger: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The ledger's sides as rows of the gate's table: a false alarm that passes is harmless and not flagged."""
    if not ledger:
        return []
    found = []
    for side, kinds in ledger["sides"].items():
        told: dict[str, Any] = {"set": f"ledger: {side}", "rows": ledger["finds"] if side == "all" else 0}
        for when in ("before", "after"):
            passes = kinds["false_alarm"][when]
            told[when] = {
                "recall": kinds["break"][when],
                "false_alarms": passes
                and {"value": 1 - passes["value"], "low": 1 - passes["high"], "high": 1 - passes["low"]},
            }
        found.append(told)
    return found


def _show_coverage(coverage: Sequence[Mapping[str, Any]]) -> None:
    probes = sum(bool(each["probes"]["break"] or each["probes"]["keep"]) for each in coverage)
    rows = sum(bool(each["rows"]["accepted"]) for each in coverage)
    heads = sum(each["head"] for each in coverage)
    click.echo(f"rules: {len(coverage):,}, of them {probes:,} with probes, {rows:,} with rows, {heads:,} with a head")
    lacking = [each for each in coverage if each["lacking"]]
    for each in lacking[:_MOST]:
        told = "; ".join(f"{what}: {why}" for what, why in each["lacking"].items())
        click.echo(f"  {each['rule']}: {told}")
    if len(lacking) > _MOST:
        click.echo(f"  and {len(lacking) - _MOST:,} more: see README.md")


def _table(names: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for place, name in enumerate(names):
        table.add_column(name, justify="right" if place in right else "left")
    for row in rows:
        table.add_row(*row)
    width = None if sys.stdout.isatty() else _WIDTH
    Console(highlight=False, markup=False, emoji=False, width=width).print(table)
