"""A promotion as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from server.cli._printable import printable
from server.cli._summary import counted
from server.cli.audit import _texts
from server.cli.rules._diff_text import as_text
from server.cli.rules._figures import outcome, percent
from server.cli.rules._promotion import Promotion, ranked
from server.cli.rules._report import Report

if TYPE_CHECKING:
    from server.audit.shadow import Compared


def page(promotion: Promotion) -> str:
    """All that is known of the candidate."""
    return "\n".join(_lines(promotion))


def _lines(promotion: Promotion) -> Iterator[str]:
    yield as_text(Report(promotion.rules, promotion.candidate, promotion.diff))
    yield ""
    yield from _traffic(promotion)
    if promotion.change is not None:
        yield ""
        yield f"tests of the candidate: {printable(promotion.change.counted())}"
    refusals = list(promotion.refusals())
    if refusals:
        yield ""
        yield click.style("it may not be promoted", fg="red", bold=True)
        for what, hint in refusals:
            yield f"  {printable(what)}" + (f"\n    hint: {printable(hint)}" if hint else "")


def _traffic(promotion: Promotion) -> Iterator[str]:
    found = promotion.traffic
    if found is None:
        yield click.style(f"no traffic was looked at: {printable(promotion.no_traffic)}", fg="yellow")
        return
    yield click.style(
        f"judged in shadow: {counted(found.judged, 'decision')}{_when(found.first, found.last)}", bold=True
    )
    if found.degraded:
        yield f"  {counted(found.degraded, 'decision')} more in which a detector failed, which say nothing"
    for digest, count in promotion.elsewhere.items():
        yield f"  {counted(count, 'decision')} more beside other rules ({digest}), which are not counted"
    if not found.judged:
        yield "  hint: `wardlaw serve --shadow CANDIDATE` lets it judge the traffic without effect"
        return
    for direction in ("stricter", "milder", "other"):
        count = promotion.flipped(direction)
        yield f"  {direction:<8}  {count:>7,}  {percent(promotion.rate(count))}"
    if found.rules:
        yield ""
        width = max(len(rule) for rule, _ in found.rules)
        for (rule, direction), count in ranked(found):
            yield f"  {rule:<{width}}  {direction:<8}  {count:>7,}  {percent(promotion.rate(count))}"
    if found.worst:
        yield ""
        total = promotion.flipped("flips")
        some = "" if len(found.worst) == total else f", {len(found.worst):,} of {total:,}"
        yield click.style(f"judged otherwise, worst first{some}", bold=True)
        texts = [promotion.texts.get(each.decision, {}) for each in found.worst]
        for each, kept in zip(found.worst, texts, strict=True):
            yield from _flip(each, kept)
        if hint := _texts.hint(texts):
            yield f"  {hint}"


def _flip(each: Compared, texts: Mapping[str, str]) -> Iterator[str]:
    where = ", ".join(place.where for place in each.places)
    yield f"  {each.flip}  {printable(each.decision)}  {printable(where)}"
    yield from (f"    {line}" for line in _texts.lines(texts))
    yield f"    {outcome(each.old)} -> {outcome(each.new)}"


def _when(first: float | None, last: float | None) -> str:
    if first is None or last is None:
        return ""
    begun, ended = (datetime.fromtimestamp(each).isoformat(" ", "minutes") for each in (first, last))
    return f", {begun} to {ended}"


def reloaded(told: dict[str, Any]) -> Iterator[str]:
    """What came of a server's reload."""
    if told.get("error"):
        yield f"the server was not reloaded: {printable(told['error'])}"
    for name, each in told.get("constitutions", {}).items():
        yield f"the server's `{printable(name)}`: {each['outcome']}, digest {each['digest']}"
        if each.get("error"):
            yield f"  {printable(each['error'])}"
