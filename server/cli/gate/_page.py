"""A verdict as a page for a person: what is done and why, the text with what was found in it, times and coverage."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

from guard.detectors.base import parts
from guard.exchange import Exchange
from guard.gate import Gate
from guard.verdict import Coverage, Finding, Verdict
from rules.actions import Action
from rules.hazards import called, crosswalk
from server.cli._printable import printable
from server.cli._summary import counted

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

PLAIN_WIDTH = 110
WHOLE = 2_000
"""Characters up to which a text is shown whole; of a longer one, only what lies round the spans."""
_AROUND = 100
_OF_SPAN = 300
_MOST = 20
_NEXT = 5
"""Scores below the threshold that are shown."""
_WORTH_SAYING = 0.005

Span = tuple[int, int]


def show(gate: Gate, exchange: Exchange, verdict: Verdict, *, language: str = "en", hazards: str | None = None) -> None:
    """Write the page to standard output: in colour on a terminal, else plain, with ⟦ ⟧ round what was found.

    With `hazards`, a hazard system, also what was found in its codes."""
    from rich.console import Console

    terminal = sys.stdout.isatty()
    console = Console(highlight=False, markup=False, emoji=False, width=None if terminal else PLAIN_WIDTH)
    titles = {rule.id: rule.title.say(language) for rule in gate.constitution}
    _head(console, verdict)
    for part, text in parts(exchange):
        spans = [finding.span for finding in verdict.findings if finding.part is part]
        _heading(console, f"{part}, {counted(len(text), 'character')}")
        _indented(console, marked(text, spans, colour=terminal and not console.no_color))
    if verdict.findings:
        _heading(console, "found")
        _indented(console, _findings(verdict.findings, titles))
        if len(verdict.findings) > _MOST:
            console.print(f"  and {len(verdict.findings) - _MOST:,} more", style="dim")
    if hazards is not None and verdict.broken:
        _heading(console, f"hazards, {hazards}")
        _indented(console, _hazards(gate, verdict, hazards, language))
    _below(console, verdict, titles)
    _heading(console, "stages")
    _indented(console, _stages(gate, verdict))
    _heading(console, "coverage")
    for line in _coverage(verdict.coverage):
        _indented(console, line)


def marked(text: str, spans: Iterable[Span], *, colour: bool) -> Text:
    """The text with its spans in colour, or in brackets; the parts of a long one that lie round them.

    Invisible characters are written out, so that what hides in a text is seen.
    """
    from rich.text import Text

    chosen = sorted({span for span in spans if span[0] < span[1]})[: 2 * _MOST]
    page = Text()
    at = 0
    for start, end in _regions(len(text), chosen):
        if start > at:
            page.append(f"\n… {start - at:,} characters …\n", style="dim")
        edges = sorted({start, end, *(edge for span in chosen for edge in span if start < edge < end)})
        for left, right in pairwise(edges):
            if not colour:
                page.append("⟦" * sum(span[0] == left for span in chosen))
            inside = [span for span in chosen if span[0] <= left and right <= span[1]]
            page.append(printable(text[left:right]), style=_style(inside, len(text)) if colour else "")
            if not colour:
                page.append("⟧" * sum(span[1] == right for span in chosen))
        at = end
    if at < len(text):
        page.append(f"\n… {len(text) - at:,} characters", style="dim")
    return page


def _style(inside: Sequence[Span], length: int) -> str:
    """What the narrowest span asks for: a mark, or where the whole text is meant only another colour."""
    if not inside:
        return ""
    start, end = min(inside, key=lambda span: span[1] - span[0])
    return "yellow" if end - start >= min(length, _OF_SPAN) else "bold white on red"


def _regions(length: int, spans: Sequence[Span]) -> list[Span]:
    """What is shown of a text, in order and without overlap."""
    if length <= WHOLE:
        return [(0, length)]
    wanted = [(0, _OF_SPAN)]
    for start, end in spans:
        wanted.append((start - _AROUND, min(end, start + _OF_SPAN) + _AROUND))
        wanted.append((end - _AROUND, end + _AROUND))
    merged: list[Span] = []
    for start, end in sorted((max(0, start), min(length, end)) for start, end in wanted):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _head(console: Console, verdict: Verdict) -> None:
    from rich.text import Text

    if verdict.findings:
        why = "breaks " + ", ".join(verdict.broken[:_NEXT])
        more = len(verdict.broken) - _NEXT
        why += f" and {counted(more, 'more rule')}" if more > 0 else ""
        if verdict.action is Action.ALLOW:
            why += "; the rules only record (shadow)"
    elif verdict.coverage.degraded or verdict.coverage.partial:
        why = "nothing found, but not everything could be looked for"
    else:
        why = "nothing found"
    colour = "green" if not verdict.findings and verdict.action is Action.ALLOW else "red"
    console.print(Text.assemble((str(verdict.action), f"bold {colour}"), "  ", why))


def _findings(findings: Sequence[Finding], titles: dict[str, str]) -> Table:
    table = _table("rule", "title", "score", "threshold", "detector", "view", "at")
    for finding in sorted(findings, key=lambda each: (-each.score, each.rule, each.span))[:_MOST]:
        table.add_row(
            finding.rule,
            printable(titles[finding.rule]),
            f"{finding.score:.3f}",
            f"{finding.threshold:.3f}",
            finding.detector,
            finding.view,
            f"{finding.span[0]}-{finding.span[1]}",
        )
    return table


def _hazards(gate: Gate, verdict: Verdict, system: str, language: str) -> Table:
    known = crosswalk().systems.get(system)
    table = _table("rule", "code", "title")
    for rule, codes in called(gate.constitution, verdict.broken, system).items():
        for code in codes or ("-",):
            titled = known.codes.get(code) if known else None
            says = titled.title.say(language) if titled else ("" if codes else "the crosswalk leads to no code")
            table.add_row(rule, code, printable(says))
    return table


def _below(console: Console, verdict: Verdict, titles: dict[str, str]) -> None:
    broken = set(verdict.broken)
    near = sorted((score, rule) for rule, score in verdict.scores.items() if rule not in broken)[::-1][:_NEXT]
    near = [(score, rule) for score, rule in near if score >= _WORTH_SAYING]
    if near:
        _heading(console, "highest below the threshold")
        table = _table("rule", "title", "score")
        for score, rule in near:
            table.add_row(rule, printable(titles[rule]), f"{score:.3f}")
        _indented(console, table)


def _stages(gate: Gate, verdict: Verdict) -> Text:
    from rich.text import Text

    names = [detector.name for detector in gate.detectors]
    told = [f"{name} {ms:.3f} ms" for name, ms in verdict.ms.items()]
    told += [f"{name} not needed" for name in names if name not in verdict.ms]
    return Text(", ".join([*told, f"together {sum(verdict.ms.values()):.3f} ms"]))


def _coverage(coverage: Coverage) -> Iterator[Text]:
    from rich.text import Text

    scanned = [f"{name} {counted(len(rules), 'rule')}" for name, rules in coverage.scanned.items() if rules]
    yield Text(f"scanned: {', '.join(scanned) or 'nothing'}")
    reasons = sorted((why, rule) for rule, why in coverage.not_scanned.items())
    for why, group in groupby(reasons, key=lambda pair: pair[0]):
        rules = [rule for _, rule in group]
        named = ", ".join(rules[:_NEXT]) + (f" and {len(rules) - _NEXT} more" if len(rules) > _NEXT else "")
        yield Text(f"not scanned: {named}: {printable(why)}", style="yellow")
    for name, what in coverage.partial.items():
        yield Text(f"in part: {name}: {printable(what)}", style="yellow")
    for name, what in coverage.degraded.items():
        yield Text(f"degraded: {name}: {printable(what)}", style="bold red")


def _table(*columns: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", show_edge=False)
    for name in columns:
        right = name in ("score", "threshold")
        table.add_column(name, justify="right" if right else "left", no_wrap=name != "title", overflow="fold")
    return table


def _heading(console: Console, text: str) -> None:
    console.print()
    console.print(text, style="cyan")


def _indented(console: Console, what: Text | Table) -> None:
    from rich.padding import Padding

    console.print(Padding(what, (0, 0, 0, 2), expand=False))
