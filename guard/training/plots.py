"""The figures of check sets as pictures: one PNG a set, and one over all of them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rules.errors import WardlawError

if TYPE_CHECKING:
    from guard.training.evaluate import SetResult
    from guard.training.metrics import Interval

HARM, SAFE, INK, PALE = "#b3402a", "#2a6f97", "#333333", "#bbbbbb"
OVERVIEW = "overview.png"


class PlotError(WardlawError):
    """A picture cannot be written."""


def write_plots(results: Sequence[SetResult], folder: Path) -> list[Path]:
    """Write a picture of each set, and the overview first.

    Raises:
        PlotError: the folder cannot be written.
    """
    names = _file_names([each.name for each in results])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [
            _overview(results, folder / OVERVIEW),
            *(_set(each, folder / name) for each, name in zip(results, names, strict=True)),
        ]
    except OSError as error:
        raise PlotError(
            f"cannot write pictures to `{folder}`: {error.strerror or error}", "give another folder, or make room"
        ) from error


def _set(result: SetResult, path: Path) -> Path:
    """ROC, precision and recall, reliability, and scores by label; a set of one label has the last two alone."""
    both = result.ranking is not None
    draws: tuple[Callable[[Any, SetResult], None], ...] = (_reliability, _histogram)
    if both:
        draws = (_roc, _precision_recall, *draws)
    counts = result.counts
    title = f"{result.name}: {counts.harmful:,} harmful and {counts.safe:,} safe rows"
    with _figure(path, title, (9, 8.4 if both else 4.4)) as figure:
        for axes, draw in zip(figure.subplots(len(draws) // 2, 2).flat, draws, strict=True):
            draw(axes, result)
    return path


def _roc(axes: Any, result: SetResult) -> None:
    from sklearn.metrics import roc_curve

    alarms, recall, _ = roc_curve(result.harmful, result.scores)
    axes.plot(alarms, recall, color=HARM)  # straight over tied scores, as its area is counted
    axes.plot([0, 1], [0, 1], color=PALE, linewidth=0.8, linestyle="--")
    counts = result.counts
    if counts.recall and counts.safe_flagged:
        axes.plot([counts.safe_flagged.value], [counts.recall.value], "o", color=INK, label="as shipped")
        axes.legend(loc="lower right", frameon=False)
    area = f"area {result.ranking.auc:.3f}" if result.ranking else ""
    _dress(axes, f"ROC, {area}", "share of safe rows flagged", "recall", square=True)


def _precision_recall(axes: Any, result: SetResult) -> None:
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(result.harmful, result.scores)
    axes.plot(recall, precision, color=HARM, drawstyle="steps-post")
    counts = result.counts
    axes.axhline(counts.harmful / (counts.harmful + counts.safe), color=PALE, linewidth=0.8, linestyle="--")
    if counts.recall and counts.precision:
        axes.plot([counts.recall.value], [counts.precision.value], "o", color=INK)
    area = f"average precision {result.ranking.auprc:.3f}" if result.ranking else ""
    _dress(axes, f"Precision and recall, {area}", "recall", "precision", square=True)


def _reliability(axes: Any, result: SetResult) -> None:
    found = result.reliability
    axes.plot([0, 1], [0, 1], color=PALE, linewidth=0.8, linestyle="--")
    for each in found.bins:
        axes.plot([each.score, each.score], [each.harmful.low, each.harmful.high], color=HARM, alpha=0.4)
    axes.plot([each.score for each in found.bins], [each.harmful.value for each in found.bins], "o-", color=HARM)
    title = f"Calibration, Brier {found.brier:.3f}, expected error {found.ece:.3f}"
    _dress(axes, title, "score", "share that is harmful", square=True)


def _histogram(axes: Any, result: SetResult) -> None:
    import numpy as np

    edges = np.linspace(0, 1, 41)
    for name, colour, chosen in (("safe", SAFE, ~result.harmful), ("harmful", HARM, result.harmful)):
        if chosen.any():
            axes.hist(result.scores[chosen], edges, color=colour, alpha=0.6, label=name)
    axes.set_yscale("symlog", linthresh=1)  # a few safe rows with a high score are what one looks for
    axes.legend(frameon=False)
    _dress(axes, "Scores by label", "score", "rows")


def _overview(results: Sequence[SetResult], path: Path) -> Path:
    """Recall, F1 and the share of safe rows flagged, a line a set, each with its interval."""
    with _figure(path, "Check sets at the shipped threshold", (9, 1.6 + 0.42 * len(results))) as figure:
        left, right = figure.subplots(1, 2, sharey=True)
        places = range(len(results))
        for place, result in zip(places, results, strict=True):
            _whisker(left, place - 0.12, result.counts.recall, HARM)
            _whisker(left, place + 0.12, result.f1, INK)
            _whisker(right, place, result.counts.safe_flagged, SAFE)
        left.set_yticks(list(places), [_drawable(result.name) for result in results])
        left.invert_yaxis()
        _dress(left, "recall (red) and F1 (black)", "", "")
        _dress(right, "share of safe rows flagged", "", "")
        left.set_xlim(-0.02, 1.02)
        right.set_xlim(left=0)
    return path


def _whisker(axes: Any, place: float, found: Interval | None, colour: str) -> None:
    if found is not None:
        axes.plot([found.low, found.high], [place, place], color=colour, linewidth=1.2, alpha=0.6)
        axes.plot([found.value], [place], "o", color=colour, markersize=5)


def _dress(axes: Any, title: str, across: str, up: str, *, square: bool = False) -> None:
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#eeeeee")
    axes.set_axisbelow(True)
    if square:
        axes.set_xlim(-0.01, 1.01)
        axes.set_ylim(-0.01, 1.01)


@contextmanager
def _figure(path: Path, title: str, size: tuple[float, float]) -> Iterator[Any]:
    """A figure that becomes `path` when it is drawn whole. No pyplot: it would keep every figure, and want a screen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        # A set's name may hold letters that matplotlib's own font lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.suptitle(_drawable(title))
        yield figure
        partial = path.with_name(f".{path.name}.partial")
        try:
            figure.savefig(partial, format="png", dpi=120)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def _drawable(text: str) -> str:
    """A dollar sign would begin a formula."""
    return text.replace("$", r"\$")


def _file_names(names: Sequence[str]) -> list[str]:
    """File names for sets: what a file system may object to is left out, and no two are the same."""
    taken = {OVERVIEW}
    found = []
    for name in names:
        stem = re.sub(r"[^\w.-]+", "-", name).strip("-.") or "set"
        place, given = 1, f"{stem}.png"
        while given.lower() in taken:
            place += 1
            given = f"{stem}-{place}.png"
        taken.add(given.lower())
        found.append(given)
    return found
