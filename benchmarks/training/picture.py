"""The picture: each arm's figures with their intervals, one panel a figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SHOWN = ("gate", "judge", "evasive", "refuses-xstest", "refuses-oktest", "helpful-benign", "words", "perplexity")
COLOURS = {"base": "#5b6770", "first": "#b08a3e", "sft": "#2f6f9f", "sft+dpo": "#7a3e6d"}
"""By the recipe, the last word of an arm's name."""


def draw(figures: dict[str, Any], titles: dict[str, str], path: Path) -> None:
    """Draw the figures that there are of those in `SHOWN`."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import PercentFormatter

    arms = list(figures["arms"])
    shown = [name for name in SHOWN if name in figures["arms"]["base"]]
    columns = min(4, len(shown))
    rows = -(-len(shown) // columns)
    made, panels = pyplot.subplots(
        rows, columns, figsize=(max(3.1, 0.6 * len(arms)) * columns, 2.5 * rows), squeeze=False
    )
    for panel in panels.flat[len(shown) :]:
        panel.axis("off")
    for name, panel in zip(shown, panels.flat, strict=False):
        for place, arm in enumerate(arms):
            if figures["arms"][arm].get(name) is None:
                continue
            found = figures["arms"][arm][name]
            about = [[found.value - found.low], [found.high - found.value]]
            panel.errorbar(
                [place], [found.value], yerr=about, fmt="o", color=COLOURS[arm.split()[-1]], capsize=4, markersize=6
            )
        if figures["arms"]["base"][name].high <= 1:
            panel.set_ylim(bottom=0)
            panel.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
        panel.set_xticks(range(len(arms)), [arm.replace(" ", "\n") for arm in arms], fontsize=7)
        panel.set_xlim(-0.5, len(arms) - 0.5)
        panel.set_title(titles.get(name, "people's texts: perplexity"), fontsize=9)
        panel.tick_params(axis="y", labelsize=8)
        panel.grid(axis="y", alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    made.tight_layout()
    made.savefig(path, dpi=150)
    pyplot.close(made)
