"""The closing words of `wardlaw prefer`: pairs, bias of the place, and agreement."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.cli._summary import counted

if TYPE_CHECKING:
    from constitution.preference.figures import Agreement
    from constitution.preference.run import Comparison, Preference


def summary(preference: Preference, comparison: Comparison) -> str:
    """A few lines."""
    from constitution.preference.card import spoken

    figures, tally = comparison.figures, preference.tally
    lines = [
        f"{counted(figures.pairs, 'pair')} of {counted(figures.contests, 'prompt')} in {preference.settings.out}:"
        f" {figures.counted} labelled, mean certainty {figures.certainty:.2f}"
    ]
    for what, reasons in (("left out", figures.left_out), ("prompts without a pair", figures.rejected)):
        if reasons:
            lines.append(f"  {what}: " + ", ".join(f"{why} {count}" for why, count in reasons.items()))
    place = figures.position
    if place.flipped is not None:
        lines.append(
            f"  position: A is given {place.bias:+.3f} (standard error {place.bias_error:.3f}) over a half;"
            f" the order flips {spoken(place.flipped)}"
        )
    if figures.how.get("votes"):
        lines.append(
            f"  {counted(figures.how['votes'], 'look')} labelled by sampled votes: the model gave no log-probabilities"
        )
    if figures.made_questions:
        lines.append(
            f"  {counted(len(figures.made_questions), 'rule')} without a `choice`, asked by a question made from the"
            f" rule's text: {', '.join(figures.made_questions[:6])}"
            + (" ..." if len(figures.made_questions) > 6 else "")
        )
    meter = preference.meter
    lines.append(
        f"  this run: {counted(meter.calls, 'call')}, {meter.usage.prompt:,} tokens in, {meter.usage.completion:,} out"
        + (f"; {counted(meter.reused, 'call')} taken from before" if meter.reused else "")
    )
    if tally.resumed:
        lines.append(f"  {counted(tally.resumed, 'prompt')} compared before, or further up in the input")
    if preference.skipped.count:
        lines.append(f"  {counted(preference.skipped.count, 'bad line')} passed over, as {preference.skipped.first[0]}")
    files = ", ".join(f"{item.path.name} ({item.lines})" for item in comparison.files if item.lines)
    lines.append(f"  files: {files or 'none has a line'}; the card is {preference.settings.out / 'README.md'}")
    return "\n".join(lines)


def table(agreement: Agreement) -> None:
    """Print how far the labels agree with the input's own choices."""
    from rich.console import Console
    from rich.table import Table

    from constitution.preference.card import spoken

    console = Console()
    figures = Table(title="agreement with the choices of the input", show_header=False)
    for name, share in (
        ("accuracy", agreement.accuracy),
        ("preferred shown first, alone", agreement.first_shown),
        ("preferred shown second, alone", agreement.second_shown),
    ):
        if share is not None or name == "accuracy":
            figures.add_row(name, "-" if share is None else spoken(share))
    figures.add_row("undecided", str(agreement.undecided))
    figures.add_row("unread", str(agreement.unread))
    figures.add_row("Brier score (a coin: 0.25)", f"{agreement.brier:.3f} (standard error {agreement.brier_error:.3f})")
    figures.add_row("calibration error", f"{agreement.calibration_error:.3f}")
    figures.add_row("scale that fits best", "-" if agreement.fit is None else f"{agreement.fit:.3g} times this one")
    console.print(figures)
    bins = Table("certainty", "pairs", "mean", "agreed", title="reliability of the labels")
    for item in agreement.bins:
        bins.add_row(
            f"{item.low:.1f} to {item.high:.1f}", str(item.pairs), f"{item.certainty:.3f}", f"{item.agreed:.3f}"
        )
    console.print(bins)
    rules = Table("rule", "accuracy", title="by the rule asked")
    for rule, share in agreement.rules.items():
        rules.add_row(rule, spoken(share))
    console.print(rules)
