"""The figures of check sets as tables."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from guard.training.evaluate import SetResult, stages
from guard.training.metrics import Counts, Interval
from server.cli._printable import printable

if TYPE_CHECKING:
    from rich.console import Console

PLAIN_WIDTH = 170
_NONE = "-"
_MOST = 40

_NOTES = """\
Flagged: the verdict has findings, at the thresholds as they are. In brackets 95% intervals: of F1 by bootstrap over
rows, of shares exact (Clopper-Pearson). R@1%, R@0.1%: recall at so many false positives. Brier, ECE: error of the
scores as probabilities, 0 is best. Times are of batches, on this machine."""

_SETS = ("set", "rows", "harmful", "F1", "AUPRC", "AUC", "precision", "recall", "safe flagged")
_MORE = ("R@1%", "R@0.1%", "Brier", "ECE")
_STAGES = ("stage", "looked at", "ms a look", "ms a prompt", "found in", "alone")


def show(results: Sequence[SetResult], by: Sequence[str]) -> None:
    """Print the table of all sets, what is asked for of each, and the table of the stages."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else PLAIN_WIDTH
    console = Console(highlight=False, markup=False, emoji=False, width=width)
    _print(console, "", (*_SETS, *_MORE), [_set(result) for result in results])
    for kind in by:
        for result in results:
            groups = result.by_category() if kind == "category" else result.by_rule()
            _groups(console, f"{result.name}, by {kind}", kind, groups)
    judged = [each for result in results for each in result.judged]
    rows = [
        [
            stage.name,
            f"{100 * stage.looked:.1f}%",
            f"{stage.ms:.3f}",
            f"{stage.ms_a_row:.3f}",
            f"{stage.found:,}",
            f"{stage.alone:,}",
        ]
        for stage in stages(judged)
    ]
    total = sum(sum(each.ms.values()) for each in judged) / len(judged)
    _print(console, "stages, over all rows", _STAGES, [*rows, ["together", "", "", f"{total:.3f}", "", ""]])
    console.print()
    console.print(_NOTES, style="dim")
    for result in results:
        for what, count in result.degraded.items():
            console.print(f"{result.name}: on {count:,} rows a detector failed: {printable(what)}", style="bold red")


def _set(result: SetResult) -> list[str]:
    counts, order = result.counts, result.ranking
    ranked = [order.auprc, order.auc, order.recall_at_1pct, order.recall_at_01pct] if order else [None] * 4
    auprc, auc, at_1, at_01 = (_NONE if value is None else f"{value:.3f}" for value in ranked)
    return [
        printable(result.name),
        f"{len(result.judged):,}",
        f"{counts.harmful:,}",
        _figure(result.f1),
        auprc,
        auc,
        _NONE if counts.precision is None else f"{counts.precision.value:.3f}",
        _figure(counts.recall),
        _share(counts.safe_flagged),
        at_1,
        at_01,
        f"{result.reliability.brier:.3f}",
        f"{result.reliability.ece:.3f}",
    ]


def _groups(console: Console, title: str, kind: str, groups: Mapping[str, Counts]) -> None:
    if not groups:
        console.print(f"\n{title}: nothing found", style="cyan")
        return
    shown = list(groups.items())[:_MOST]
    if kind == "rule":  # a rule's own rows are those in which it was found
        head: tuple[str, ...] = (kind, "in harmful rows", "in safe rows")
        rows = [[printable(name), f"{counts.hits:,}", f"{counts.alarms:,}"] for name, counts in shown]
    else:
        head = (kind, "harmful", "recall", "safe", "safe flagged")
        rows = [
            [
                printable(name),
                f"{counts.harmful:,}",
                _figure(counts.recall),
                f"{counts.safe:,}",
                _share(counts.safe_flagged),
            ]
            for name, counts in shown
        ]
    _print(console, title, head, rows)
    if len(groups) > _MOST:
        console.print(f"and {len(groups) - _MOST:,} more; all are in --json", style="dim")


def _print(console: Console, title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Table

    if title:
        console.print()
        console.print(title, style="cyan")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for place, name in enumerate(head):
        table.add_column(name, justify="right" if place else "left", no_wrap=bool(place), overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _figure(found: Interval | None) -> str:
    return _NONE if found is None else f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


def _share(found: Interval | None) -> str:
    return _NONE if found is None else f"{100 * found.value:.2f}% [{100 * found.low:.2f}, {100 * found.high:.2f}]"
