"""A comparison of rules as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

import click

from guard.flips import Flip
from rules.diff import Change, RuleChange
from server.cli._printable import printable, shortened
from server.cli._summary import counted
from server.cli.rules._figures import beside, headline, not_replayed, outcome, percent
from server.cli.rules._report import Replayed, Report

_SIGN = {"added": "+", "enabled": "+", "removed": "-", "disabled": "-", "changed": "~"}
_COLOUR = {"+": "green", "-": "red", "~": "yellow"}
_REACH = {"verdict": "verdicts", "rows": "rows", "words": "words only"}


def as_text(report: Report) -> str:
    """The whole page."""
    return "\n".join(_lines(report))


def _lines(report: Report) -> Iterator[str]:
    yield click.style(printable(headline(report)), bold=True)
    if report.first:
        yield f"no rules at {printable(report.old)}: all are new"
    for rule in report.diff.rules:
        yield ""
        yield from _rule(rule, report.old, report.new)
    if report.diff.others:
        yield ""
        yield from (_change(change) for change in report.diff.others)
    if report.stale_heads:
        yield ""
        yield f"words or examples are others now than a trained head was taught by: {', '.join(report.stale_heads)}"
        yield "  hint: `wardlaw gate train` teaches them anew"
    if report.replayed is not None:
        yield ""
        yield from _replayed(report.replayed)
        if unchanged := beside(report):
            yield f"  did not change themselves, but are weighed together with those that did: {', '.join(unchanged)}"
    if report.data is not None:
        yield ""
        yield from _data(report)


def _rule(rule: RuleChange, old: str, new: str) -> Iterator[str]:
    sign = _SIGN[rule.kind]
    yield click.style(f"{sign} {rule.rule}", fg=_COLOUR[sign], bold=True) + f"  {rule.kind}"
    yield from (_change(change) for change in rule.changes)


def _change(change: Change) -> str:
    asked = ", and what a judge says" if change.asked and change.effect != "verdict" else ""
    where = f"  {change.where}" if change.where is not None else ""
    tail = click.style(f"[{_REACH[change.effect]}{asked}]{printable(where)}", dim=True)
    return f"    {printable(change.what)}  {tail}"


def _replayed(replayed: Replayed) -> Iterator[str]:
    tally = replayed.tally
    yield click.style(f"on {printable(replayed.source)}", bold=True)
    for what, hint in not_replayed(replayed):
        yield f"  {printable(what)}" + (f"\n    hint: {hint}" if hint else "")
    for action, (old, new) in tally.action_rates().items():
        yield f"  {action:<8} {percent(old)} -> {percent(new)}"
    if tally.by_rule:
        yield ""
        width = max(len(rule) for rule in tally.by_rule)
        yield f"  {'rule':<{width}}  {'stricter':>8}  {'milder':>8}  {'gained':>26}  {'lost':>26}"
        for rule, counts in tally.ranked():
            gained, lost = (_rate(replayed, rule, kind, counts[kind]) for kind in ("gained", "lost"))
            yield f"  {rule:<{width}}  {counts['stricter']:>8,}  {counts['milder']:>8,}  {gained:>26}  {lost:>26}"
    if replayed.worst:
        yield ""
        shown = "" if len(replayed.worst) == tally.flips else f", {len(replayed.worst):,} of {tally.flips:,}"
        yield click.style(f"judged otherwise, worst first{shown}", bold=True)
        for flip in replayed.worst:
            yield from _flip(flip)


def _rate(replayed: Replayed, rule: str, kind: str, count: int) -> str:
    return f"{count:,}, {percent(replayed.tally.rule_rate(rule, kind))}" if count else "0"


def _flip(flip: Flip) -> Iterator[str]:
    colour = {"stricter": "yellow", "milder": "red"}.get(flip.direction)
    yield f"  {click.style(flip.direction, fg=colour)}  {flip.part} {printable(flip.id)}"
    yield f"    {shortened(flip.text)}"
    yield f"    {outcome(flip.old)} -> {outcome(flip.new)}"


def _data(report: Report) -> Iterator[str]:
    data = report.data
    if data is None:
        return
    yield click.style(printable(report.folder), bold=True)
    rows = counted(data.rows, "row")
    yield f"  {data.stale:,} of {rows} depend on changed rules, {data.accepted:,} of them accepted"
    yield from (f"  {rule}: {count:,}" for rule, count in data.rules.most_common())
    if data.stale:
        calls = counted(data.calls, "model call")
        yield f"  `wardlaw generate --update {report.folder}` makes these anew: about {calls}; all others stay"
