"""The pictures of a report: SVG that takes its colours and its fonts from the page it stands in."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from constitution.statistics import Histogram, RunStatistics

# matplotlib only writes fixed colours; these stand for the page's own and are put in afterwards, so that one picture
# serves light and dark.
INK, MUTED, LINE, HARM, SAFE, CARD = "#010101", "#020202", "#030303", "#040404", "#050505", "#060606"
_VARIABLES = {INK: "ink", MUTED: "muted", LINE: "line", HARM: "harm", SAFE: "safe", CARD: "card"}

ENOUGH = 30
"""Rows from which on the shape of a distribution is drawn, not only its quartiles."""


def scores_by_round(statistics: RunStatistics) -> str | None:
    """Gate score of the first answer and after each round: mean, quartiles, and the whole shape where rows suffice.

    Returns:
        An `<svg>` element; None where no gate looked.
    """
    steps = [step for step in statistics.scores if step.n]
    if not steps:
        return None
    with _figure("scores", 3.5) as (figure, svg):
        axes = figure.add_axes((0.085, 0.13, 0.905, 0.82))
        for at, step in enumerate(steps):
            colour = HARM if at == 0 else SAFE
            if step.n >= ENOUGH:
                _violin(axes, at, step, colour)
            low, high = step.quantile(0.25), step.quantile(0.75)
            axes.plot([at, at], [low, high], color=colour, linewidth=5, solid_capstyle="round", alpha=0.55, zorder=3)
        means = [step.mean for step in steps]
        axes.plot(range(len(means)), means, color=INK, linewidth=1.6, zorder=4)
        for at, mean in enumerate(means):
            fill = HARM if at == 0 else SAFE
            axes.plot([at], [mean], "o", markersize=8, color=fill, markeredgecolor=CARD, markeredgewidth=1.6, zorder=5)
            axes.annotate(
                f"{mean:.2f}",
                (at, mean),
                xytext=(11, 7),
                textcoords="offset points",
                color=INK,
                fontsize=13,
                fontweight="bold",
                zorder=6,
            )
        axes.set_xlim(-0.5, len(steps) - 0.35)
        axes.set_ylim(-0.02, 1.02)
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
        axes.set_xticks(range(len(steps)), [_step_name(at, len(steps)) for at in range(len(steps))])
        axes.grid(axis="y", color=LINE, linewidth=0.8)
        _plain(axes)
    return svg[0]


def lengths(statistics: RunStatistics) -> str | None:
    """Lengths of first answers (above) and final ones (below), in characters.

    Returns:
        An `<svg>` element; None where no answer was changed.
    """
    first, final = statistics.length_first, statistics.length_final
    if not first.n or not final.n:
        return None
    with _figure("lengths", 3.5) as (figure, svg):
        axes = figure.add_axes((0.02, 0.13, 0.96, 0.85))
        bounds = _bounds((first, final))
        top = max(*first.counts, *final.counts)
        for histogram, sign, colour in ((first, 1, HARM), (final, -1, SAFE)):
            shown = [(edge, count) for edge, count in _columns(histogram) if count]
            for (start, end), count in shown:
                axes.bar(
                    start,
                    sign * count,
                    width=(end - start) * 0.9,
                    align="edge",
                    color=colour,
                    alpha=0.85,
                    linewidth=0,
                )
            middle = histogram.quantile(0.5)
            axes.plot([middle, middle], [0, sign * top * 1.08], color=INK, linewidth=1.2, linestyle=(0, (3, 2)))
            name = "first" if sign > 0 else "final"
            right = middle > (bounds[0] * bounds[1]) ** 0.5
            axes.annotate(
                f"{name}: median {middle:,.0f}",
                (middle, sign * top * 1.08),
                xytext=(-6 if right else 6, 0),
                textcoords="offset points",
                ha="right" if right else "left",
                va="center",
                color=INK,
                fontsize=12,
            )
        axes.axhline(0, color=MUTED, linewidth=0.8)
        axes.set_xscale("log")
        axes.set_xlim(*bounds)
        axes.set_ylim(-top * 1.22, top * 1.22)
        ticks = [value for value in (10, 30, 100, 300, 1000, 3000, 10_000, 30_000) if bounds[0] <= value <= bounds[1]]
        axes.set_xticks(ticks, [f"{value:,}" for value in ticks])
        axes.set_xticks([], minor=True)
        axes.set_yticks([])
        _plain(axes)
    return svg[0]


def _violin(axes: Any, at: int, step: Histogram, colour: str) -> None:
    import numpy as np

    counts = np.asarray(step.counts, dtype=float)
    kernel = np.exp(-0.5 * (np.arange(-9, 10) / 3.0) ** 2)
    # Mirrored at both ends: scores pile up at 0 and 1, and a plain kernel would let them leak out.
    padded = np.concatenate([counts[8::-1], counts, counts[:-10:-1]])
    smooth = np.convolve(padded, kernel / kernel.sum(), mode="same")[9:-9]
    width = 0.36 * smooth / smooth.max()
    heights = (np.arange(len(counts)) + 0.5) / len(counts)
    seen = width > 0.004
    axes.fill_betweenx(heights, at - width, at + width, where=seen, color=colour, alpha=0.22, linewidth=0, zorder=2)


def _columns(histogram: Histogram) -> Iterator[tuple[tuple[float, float], int]]:
    edges = histogram.edges
    starts = (edges[0] / (edges[1] / edges[0]), *edges)
    ends = (*edges, edges[-1] * edges[-1] / edges[-2])
    return zip(zip(starts, ends, strict=True), histogram.counts, strict=True)


def _bounds(histograms: Sequence[Histogram]) -> tuple[float, float]:
    """Where the columns begin and end, with some air, and at least a factor of ten apart."""
    filled = [span for histogram in histograms for span, count in _columns(histogram) if count]
    low, high = min(span[0] for span in filled) / 1.15, max(span[1] for span in filled) * 1.15
    if high < 10 * low:
        middle = (low * high) ** 0.5
        low, high = middle / 10**0.5, middle * 10**0.5
    return low, high


def _step_name(at: int, steps: int) -> str:
    if at == 0:
        return "first answer"
    return f"round {at}" if steps <= 5 else str(at)


def _plain(axes: Any) -> None:
    axes.set_axisbelow(True)
    axes.set_facecolor("none")
    for side in axes.spines.values():
        side.set_visible(False)
    axes.tick_params(length=0, colors=MUTED, labelsize=12, pad=6)


@contextmanager
def _figure(name: str, height: float) -> Iterator[tuple[Any, list[str]]]:
    """A figure to draw in; at the end its SVG lies in the list."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    # The salt keeps ids apart between the pictures of one page, and the same from run to run.
    settings = {"svg.fonttype": "none", "svg.hashsalt": name, "text.parse_math": False, "font.family": "DejaVu Sans"}
    svg: list[str] = []
    with mpl.rc_context(settings), warnings.catch_warnings():
        # The page's fonts draw the text, so a glyph that matplotlib's own font lacks is no loss.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure(figsize=(5.6, height), dpi=72)
        figure.patch.set_alpha(0)
        yield figure, svg
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
        svg.append(_of_the_page(buffer.getvalue(), name))


def _of_the_page(text: str, name: str) -> str:
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = text.replace("<svg", f'<svg class="{name}" aria-hidden="true"', 1)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var(--{variable})")
    # The names of groups would stand twice in a page of two pictures; nothing refers to them.
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    return re.sub(r"font-family: [^;\"]*;? ?", "", text).strip()
