"""Figures and counts of a comparison in words, as all its forms say them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from guard.flips import Direction, Outcome
from rules.diff import Kind
from server.cli._summary import counted
from server.cli.rules._report import Replayed, Report
from server.cli.rules._traffic import HASHED, MASKED, NOT_KEPT

if TYPE_CHECKING:
    from guard.training.metrics import Interval

REACHES = {"verdict": "verdicts", "rows": "rows", "words": "nothing"}
"""Effect -> what it can change."""

_KINDS: tuple[Kind, ...] = ("added", "removed", "enabled", "disabled", "changed")
KEEP_CONTENT = (
    "set `audit: {content: full}` in the server's settings (or WARDLAW_AUDIT__CONTENT=full): decisions from then on can"
    " be replayed"
)


def percent(found: Interval | None) -> str:
    """`3.0% (1.6% to 5.2%)`: a share, and the range that holds the true one with 95% confidence."""
    if found is None:
        return "of nothing"
    return f"{percent_of(found.value)} ({percent_of(found.low)} to {percent_of(found.high)})"


def percent_of(share: float) -> str:
    """A share with one decimal, or with as many as tell it from none or all: of a million texts, ten are not 0.0%."""
    edge, decimals = min(share, 1 - share), 1
    if 0 < edge < 0.001:
        decimals = min(1 - math.floor(math.log10(100 * edge)), 9)
    return f"{100 * share:.{decimals}f}%"


def headline(report: Report) -> str:
    """All of it in one line."""
    said = [_rules(report)]
    if report.replayed is not None:
        said.append(flips(report.replayed))
    if report.data is not None:
        rows = counted(report.data.rows, "training row")
        said.append(f"{report.data.stale:,} of {rows} depend on changed rules")
    return "; ".join(said)


def _rules(report: Report) -> str:
    diff = report.diff
    if not diff:
        return "nothing changed"
    kinds = Counter(rule.kind for rule in diff.rules)
    told = ", ".join(f"{kinds[kind]:,} {kind}" for kind in _KINDS if kinds[kind]) or "no rule changed"
    reaching = len(diff.reaching("verdict"))
    if not diff.rules:
        return told
    one = diff.rules[0]
    noun = "rule" if len(diff.rules) == 1 else "rules"
    can = "no verdict can change" if not reaching else f"{reaching:,} can change verdicts"
    if len(diff.rules) == 1:
        can = f"which can change {'verdicts' if reaching else REACHES[one.effect]}"
        return f"1 {noun} {one.kind}, {can}"
    return f"{len(diff.rules):,} {noun}: {told}; {can}"


def flips(replayed: Replayed) -> str:
    """How many texts are judged otherwise."""
    tally = replayed.tally
    texts = counted(tally.rows, "text")
    if not tally.flips:
        return f"none of {texts} is judged otherwise{_at_most(replayed)}"
    ways = ", ".join(f"{tally.directions[name]:,} {_WAY[name]}" for name in _WAY if tally.directions[name])
    return f"{tally.flips:,} of {texts} judged otherwise, {percent(tally.rate())}: {ways}"


_WAY: dict[Direction, str] = {"stricter": "stricter", "milder": "milder", "other": "by other rules alone"}


def _at_most(replayed: Replayed) -> str:
    rate = replayed.tally.rate()
    return "" if rate is None else f" (of all such texts at most {percent_of(rate.high)})"


def outcome(found: Outcome, most: int = 3) -> str:
    """`block: weapon-help 0.93, insults 0.51`."""
    rules = [f"{rule} {score:.2f}" for rule, score in found.rules.items()]
    more = f" and {len(rules) - most} more" if len(rules) > most else ""
    return str(found.action) + (f": {', '.join(rules[:most])}{more}" if rules else "")


def beside(report: Report) -> tuple[str, ...]:
    """Rules that flips are about although nothing of them changed: rules found by meaning are weighed together."""
    if report.replayed is None:
        return ()
    changed = {rule.rule for rule in report.diff.rules}
    return tuple(rule for rule, counts in report.replayed.tally.ranked() if rule not in changed and _counts(counts))


def _counts(counts: Counter[str]) -> bool:
    return counts["gained"] + counts["lost"] > 0


def not_replayed(replayed: Replayed) -> Iterator[tuple[str, str]]:
    """What could not be replayed, each with what to do about it."""
    passed = replayed.passed
    for why, count in passed.unfit.most_common():
        of = counted(passed.decisions, "decision")
        hint = KEEP_CONTENT if why in (NOT_KEPT, HASHED, MASKED) else ""
        yield f"{count:,} of {of} cannot be replayed: {why}", hint
    if passed.bad:
        yield f"{counted(passed.bad, 'bad line')} passed over, as {passed.first}", ""
    if replayed.tally.degraded:
        rows = counted(replayed.tally.degraded, "text")
        yield f"{rows} judged while a detector failed: these verdicts may not be those of the rules", ""
