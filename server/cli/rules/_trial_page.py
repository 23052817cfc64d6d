"""A trial of rules as a page for a person: the table by rule, what missed, sums, contracts that are not kept."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from guard.trials.trial import Tally
from rules.words import quoted
from server.cli._printable import printable
from server.cli._summary import counted

if TYPE_CHECKING:
    from rich.console import Console

    from guard.training.metrics import Interval
    from guard.trials.contract import Breach
    from guard.trials.look import Seen
    from guard.trials.trial import Trial
    from rules.loaded import Loaded
    from rules.schema import Rule

_WIDTH = 170
_COLUMNS = ("rule", "tests: found", "flagged", "examples: found", "flagged", "found by", "contract")
_DISGUISES = ("disguise", "texts", "found", "by any rule")
_TEXT = 70
_NAMED = 8
"""Rules that are named where the summary speaks of some."""
_UNMEASURED = "-"


def show(
    loaded: Loaded,
    trial: Trial,
    broken: Sequence[Breach],
    *,
    poorly: Sequence[str] = (),
    only: Sequence[str] = (),
    only_failing: bool = False,
    verbose: bool = False,
    strict: bool = False,
) -> None:
    """Print the page.

    Args:
        loaded: the rules.
        trial: what was seen.
        broken: the contracts that are not kept.
        poorly: ids of the rules whose texts are mostly in a script that the encoder reads poorly.
        only: ids of the rules that were tried; all where it is empty.
        only_failing: leave out the rules without a failing test or a broken contract.
        verbose: list every text that fails.
        strict: a failing test is an error.
    """
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else _WIDTH)
    rules = [rule for rule in loaded.constitution if not only or rule.id in only]
    shown = [rule for rule in rules if not only_failing or _is_failing(rule, trial, broken)]
    if shown:
        _print(console, _COLUMNS, [_row(rule, trial.by_rule.get(rule.id, Tally()), broken) for rule in shown])
    if trial.disguised:
        console.print()
        _print(console, _DISGUISES, [_disguise(name, tally) for name, tally in trial.by_disguise.items()])
    if verbose:
        _list_failing(loaded, trial)
    for breach in broken:
        place = loaded.locate(breach.rule, "contract", breach.clause)
        kind = click.style("error:", fg="red", bold=True)
        click.echo(f"\n{place}: {kind} {printable(str(breach))} [contract-{breach.clause.replace('_', '-')}]")
        for hint in breach.hints:
            click.echo(f"  hint: {printable(hint)}")
    click.echo()
    for line in _summary(rules, trial, broken, verbose=verbose, strict=strict):
        click.echo(line)
    if poorly:
        click.echo(_read_poorly(poorly))


def _is_failing(rule: Rule, trial: Trial, broken: Sequence[Breach]) -> bool:
    return bool(trial.by_rule.get(rule.id, Tally()).failing("tests")) or any(each.rule == rule.id for each in broken)


def _row(rule: Rule, tally: Tally, broken: Sequence[Breach]) -> list[str]:
    if rule.detect is None:
        cells = ["the gate does not look for it", "", "", "", ""]
    else:
        cells = [
            _of(*tally.count("breaks", "tests"), percent=True),
            _of(*tally.count("keeps", "tests")),
            _of(*tally.count("breaks", "examples"), percent=True),
            _of(*tally.count("keeps", "examples")),
            ", ".join(f"{stage} {count}" for stage, count in tally.stages.items()) or _UNMEASURED,
        ]
    clauses = [each.clause for each in broken if each.rule == rule.id]
    kept = "kept" if rule.contract is not None else _UNMEASURED
    return [rule.id, *cells, "broken: " + ", ".join(clauses) if clauses else kept]


def _disguise(name: str, tally: Tally) -> list[str]:
    found, texts = tally.count("breaks")
    stopped = sum(each.found or bool(each.others) for each in tally.seen)
    return [name, str(texts), _of(found, texts, percent=True), _of(stopped, texts, percent=True)]


def _list_failing(loaded: Loaded, trial: Trial) -> None:
    heads = {
        ("breaks", "tests"): "tests that break a rule and are missed",
        ("keeps", "tests"): "tests that keep a rule and are flagged",
        ("breaks", "examples"): "examples that break a rule and are missed",
        ("keeps", "examples"): "examples that keep a rule and are flagged",
    }
    for (kind, origin), head in heads.items():
        failing = [seen for seen in trial.of(kind, origin) if not seen.passed]  # type: ignore[arg-type]
        if failing:
            click.echo(f"\n{click.style(head, fg='cyan')}")
        for seen in failing:
            where = loaded.locate(seen.case.rule, *seen.case.keys)
            click.echo(f"{where}: {seen.case.rule}: {quoted(seen.case.text, _TEXT)}")
            click.echo(f"  {printable(said_of(seen))}")


def said_of(seen: Seen) -> str:
    """In words: what found it, or why nothing did; and the other rules that were found."""
    others = f" (found: {', '.join(seen.others)})" if seen.others else ""
    if not seen.found:
        return f"{seen.case.part}: {seen.why}{others}"
    told = seen.score is not None and seen.threshold is not None
    score = f", {seen.score:.3f} (threshold {seen.threshold:.3f})" if told else ""
    view = "" if seen.view in ("", "raw") else f" in the view {seen.view}"
    return f"{seen.case.part}: found by {seen.stage}{view}{score}{others}"


def _summary(
    rules: Sequence[Rule], trial: Trial, broken: Sequence[Breach], *, verbose: bool, strict: bool
) -> Iterator[str]:
    for origin in ("tests", "examples"):
        found, breaks = trial.count("breaks", origin)
        flagged, keeps = trial.count("keeps", origin)
        if breaks or keeps:
            yield (
                f"{origin}: {found:,} of {counted(breaks, 'breaking text')} found{_range(trial.recall(origin))}, "
                f"{flagged:,} of {keeps:,} near misses flagged{_range(trial.false_alarms(origin))}"
            )
        elsewhere = sum(not seen.found and bool(seen.others) for seen in trial.of("breaks", origin))
        if elsewhere:
            yield f"  {elsewhere:,} of the breaking texts that their own rule misses are found by another"
    failed = sum(seen.failed for seen in trial.seen)
    if failed:
        yield click.style(f"a detector failed on {counted(failed, 'text')}, which count as not passed", fg="red")
    silent = sum(rule.detect is None for rule in rules)
    if silent:
        yield f"{counted(silent, 'rule')} the gate does not look for (`detect: null`)"
    held = sum(rule.contract is not None for rule in rules)
    told = f"contracts: {held:,} of {counted(len(rules), 'rule')} {'has' if held == 1 else 'have'} one"
    if held:
        not_kept = len({each.rule for each in broken})
        told += f", {not_kept:,} not kept" if not_kept else ", all kept"
    yield told + ("; a rule without one fails nothing" if held < len(rules) and not strict else "")
    failing = len(trial.failing("tests"))
    if failing:
        more = "" if verbose else "; -v lists them"
        yield f"{counted(failing, 'test')} {'fail' if failing > 1 else 'fails'}{more}"


def _read_poorly(rules: Sequence[str]) -> str:
    named = ", ".join(rules[:_NAMED]) + (f" and {len(rules) - _NAMED:,} more" if len(rules) > _NAMED else "")
    return (
        f"texts mostly in a script that the default encoder reads poorly: {named}; name a multilingual model with"
        " --encoder, or let patterns and a judge find them"
    )


def _of(found: int, of: int, *, percent: bool = False) -> str:
    if not of:
        return _UNMEASURED
    return f"{found}/{of} {found / of:.0%}" if percent else f"{found}/{of}"


def _range(measured: Interval | None) -> str:
    if measured is None:
        return ""
    return f" ({measured.value:.1%}, 95% interval {100 * measured.low:.1f} to {100 * measured.high:.1f})"


def _print(console: Console, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for place, name in enumerate(head):
        numeric = bool(place) and name not in ("found by", "contract")
        table.add_column(name, justify="right" if numeric else "left", no_wrap=name != "found by", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)
