"""The closing words of a run: what was made, why the rest was not, what it cost, where to look next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from constitution.generate import Generation, Outcome
    from server.cli._progress import Prices

_MOST = 6


def counted(count: int, noun: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def unfit(count: int) -> str:
    """That so many rows cannot be said in a format."""
    return f"{counted(count, 'row')} {'does' if count == 1 else 'do'} not fit"


def summary(generation: Generation, outcome: Outcome, prices: Prices) -> str:
    """The text, a few lines."""
    figures = outcome.exported.statistics
    out = generation.settings.out
    share = f" ({100 * figures.accepted / figures.rows:.0f}%)" if figures.rows else ""
    lines = [
        f"{counted(figures.rows, 'row')} in {out}: {figures.accepted} accepted{share},"
        f" {figures.changed} of them revised; {figures.rejected} rejected",
    ]
    reasons: dict[str, int] = {}
    for by_reason in figures.rejections.values():
        for reason, count in by_reason.items():
            reasons[reason] = reasons.get(reason, 0) + count
    if reasons:
        ranked = sorted(reasons.items(), key=lambda item: -item[1])
        more = f", {counted(len(ranked) - _MOST, 'more reason')}" if len(ranked) > _MOST else ""
        lines.append("  rejected for: " + ", ".join(f"{reason} {count}" for reason, count in ranked[:_MOST]) + more)
    means = [histogram.mean for histogram in figures.scores if histogram.n]
    if len(means) > 1:
        lines.append("  gate score, first answer and after each round: " + " -> ".join(f"{mean:.2f}" for mean in means))
    usage = generation.meter.usage
    cost = prices.of(usage.prompt, usage.completion)
    lines.append(
        f"  this run: {counted(generation.meter.calls, 'call')}, {usage.prompt:,} tokens in, {usage.completion:,} out"
        + (f", cost {cost:,.4f}" if cost is not None else "")
        + (f"; {counted(generation.meter.reused, 'call')} taken from before" if generation.meter.reused else "")
    )
    lines.extend(f"  {line}" for line in _prompts(generation))
    files = ", ".join(f"{item.path.name} ({item.lines})" for item in outcome.exported.files if item.lines)
    lines.append(f"  files: {files or 'none has a line'}")
    lines.extend(f"  {item.name}: {unfit(item.unfit)}" for item in outcome.exported.files if item.unfit)
    lines.append(f"look at {outcome.exported.report}, or page through the rows with: wardlaw rows {out}")
    return "\n".join(lines)


def _prompts(generation: Generation) -> Iterator[str]:
    """What became of the prompts that made no row in this run."""
    tally, skipped = generation.tally, generation.skipped
    if tally.resumed:
        yield f"{counted(tally.resumed, 'prompt')} had {_its(tally.resumed)} from an earlier run"
    for count, what in ((tally.other_rules, "rules"), (tally.other_ways, "models, templates or sampling")):
        if count:
            have, again = ("has a row", "it was") if count == 1 else ("have rows", "they were")
            yield f"{counted(count, 'prompt')} {have} made by other {what}; {again} not made again"
    if tally.repeated:
        verb = "repeats an earlier one" if tally.repeated == 1 else "repeat earlier ones"
        yield f"{counted(tally.repeated, 'prompt')} {verb} of this input and made no second row"
    if generation.mixture.ran_out:
        shares = f"{generation.mixture.share:.0%} instead of {generation.settings.benign_share:.0%}"
        yield f"benign prompts ran out: {shares}"
    if skipped.count:
        yield f"{counted(skipped.count, 'bad line')} passed over, as {skipped.first[0]}"


def _its(count: int) -> str:
    return "its row" if count == 1 else "their rows"
