"""What a cycle came to, as tables on a terminal."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from constitution.cycle.run import Planned

_WIDTH = 100
"""Columns, where nobody says how many there are."""
_MOST = 4
"""Rules that are named where they lack the same for the same reason; README.md names all."""


def show_plan(planned: Sequence[Planned], extent: Sequence[str]) -> None:
    """A line a step: whether it would run, and why; and how much models would be asked for by those that would."""
    _table(("step", "", "why"), [(each.step, each.action, each.why) for each in planned])
    to_run = {each.step for each in planned if each.action in ("run", "maybe")}
    asked = [line for line in extent if line.partition(":")[0] in to_run]
    if asked:
        click.echo()
    for line in asked:
        click.echo(line)


def show_report(report: Mapping[str, Any], folder: object) -> None:
    """What the cycle changed: gate, ledger, rules, rows, and what each step cost."""
    from constitution.cycle.report import reasons

    if gate := report["gate"]:
        _show_gate(gate)
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


def _show_gate(gate: Mapping[str, Any]) -> None:
    from constitution.cycle.report import share

    lines: list[tuple[str, ...]] = []

    def add(what: str, count: int, before: Any, after: Any) -> None:
        if count:  # a share of nothing is no share
            lines.append((f"  {what}", f"{count:,}", share(before), share(after)))

    own = {"set": "tests, by their own rule", **gate["own"]}
    for each in (own, *({**found, "set": f"{found['set']}, by any rule"} for found in gate["sets"])):
        lines.append((each["set"], "", "", ""))
        before, after = each["before"], each["after"]
        add("harmful found", each["harmful"], before["recall"], after["recall"])
        add("harmless flagged", each["safe"], before["false_alarms"], after["false_alarms"])
    ledger = gate["ledger"]
    for side, kinds in ledger["sides"].items() if ledger else ():
        lines.append((f"ledger, {side}", "", "", ""))
        for kind, what in (("break", "breaks found"), ("false_alarm", "false alarms let pass")):
            add(what, kinds[kind]["n"], kinds[kind]["before"], kinds[kind]["after"])
    _table(("gate", "of", "before", "after"), lines, right=(1,))
    click.echo()
    tests, breaches = gate["tests"], gate["breaches"]
    click.echo(f"tests: {tests['failing']:,} of {tests['run']:,} fail, {tests['worse']:,} of them not before")
    if breaches["all"]:
        click.echo(
            f"clauses of contracts not kept: {len(breaches['all']):,}, {len(breaches['new']):,} of them not before"
        )
    if ledger:
        untold = f", {ledger['untold']:,} could not be told" if ledger["untold"] else ""
        accepted = f", {ledger['accepted']:,} accepted as they are" if ledger["accepted"] else ""
        click.echo(
            f"ledger: of {ledger['finds']:,} finds {ledger['holds']:,} hold ({ledger['fixed']:,} fixed by this cycle);"
            f" {ledger['still_open']:,} still open, {ledger['regressed']:,} came back{accepted}{untold}"
        )


def _show_coverage(coverage: Sequence[Mapping[str, Any]]) -> None:
    probes = sum(bool(each["probes"]["break"] or each["probes"]["keep"]) for each in coverage)
    rows = sum(bool(each["rows"]["accepted"]) for each in coverage)
    heads = sum(each["head"] for each in coverage)
    click.echo(f"rules: {len(coverage):,}, of them {probes:,} with probes, {rows:,} with rows, {heads:,} with a head")
    rules: dict[str, list[str]] = {}
    for each in coverage:
        for what, why in each["lacking"].items():
            rules.setdefault(f"{what}: {why}", []).append(each["rule"])
    for told, named in rules.items():
        shown = ", ".join(named[:_MOST]) + (f" and {len(named) - _MOST:,} more" if len(named) > _MOST else "")
        told = f"{told}: {len(named):,}: {shown}"
        click.echo(textwrap.fill(told, _WIDTH, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False))


def _table(names: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for place, name in enumerate(names):
        table.add_column(name, justify="right" if place in right else "left")
    for row in rows:
        table.add_row(*row)
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _WIDTH
    Console(highlight=False, markup=False, emoji=False, width=width).print(table)
