"""The closing words of a run: what was made, why the rest was not, what it cost, where to look next."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from constitution.generate import Generation, Outcome
    from server.cli._progress import Prices

_MOST = 6


def summary(generation: Generation, outcome: Outcome, prices: Prices) -> str:
    """The text, a few lines."""
    figures = outcome.exported.statistics
    out = generation.settings.out
    share = f" ({100 * figures.accepted / figures.rows:.0f}%)" if figures.rows else ""
    lines = [
        f"{figures.rows} rows in {out}: {figures.accepted} accepted{share}, {figures.changed} of them revised;"
        f" {figures.rejected} rejected",
    ]
    reasons: dict[str, int] = {}
    for by_reason in figures.rejections.values():
        for reason, count in by_reason.items():
            reasons[reason] = reasons.get(reason, 0) + count
    if reasons:
        ranked = sorted(reasons.items(), key=lambda item: -item[1])
        more = f", {len(ranked) - _MOST} more reasons" if len(ranked) > _MOST else ""
        lines.append("  rejected for: " + ", ".join(f"{reason} {count}" for reason, count in ranked[:_MOST]) + more)
    means = [histogram.mean for histogram in figures.scores if histogram.n]
    if len(means) > 1:
        lines.append("  gate score, first answer and after each round: " + " -> ".join(f"{mean:.2f}" for mean in means))
    usage = generation.meter.usage
    cost = prices.of(usage.prompt, usage.completion)
    lines.append(
        f"  this run: {generation.meter.calls} calls, {usage.prompt:,} tokens in, {usage.completion:,} out"
        + (f", cost {cost:,.4f}" if cost is not None else "")
        + (f"; {generation.meter.reused} calls taken from before" if generation.meter.reused else "")
    )
    tally = generation.tally
    if tally.repeated:
        lines.append(f"  {tally.repeated} prompts stood in the input before and made no second row")
    if generation.skipped.count:
        lines.append(f"  {generation.skipped.count} bad lines passed over, as {generation.skipped.first[0]}")
    files = ", ".join(f"{item.path.name} ({item.lines})" for item in outcome.exported.files if item.lines)
    lines.append(f"  files: {files or 'none has a line'}")
    lines.append(f"look at {outcome.exported.report}, or page through the rows with: wardlaw rows {out}")
    return "\n".join(lines)
