"""What the meaning detector read of a text, window by window, with the scores of each."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from guard.detectors._readings import Reading, asked_before, in_context, readings
from guard.detectors.meaning import MeaningDetector
from guard.exchange import Exchange

MOST = 160
"""Windows that are looked at again: more than 100,000 characters of English. Of more, some in even steps."""


@dataclass(frozen=True, slots=True)
class Window:
    """One window, of one view of one part."""

    reading: Reading
    scores: Mapping[str, float]
    """Rule id -> score; rules that watch the part."""


@dataclass(frozen=True, slots=True)
class Windows:
    """The windows of an exchange that were looked at."""

    windows: tuple[Window, ...]
    of: int
    """How many there are."""
    prompt: str
    """What an answer is judged together with."""
    detector: MeaningDetector

    def best(self, rule: str) -> Window | None:
        """The window with the highest score for a rule; None where the rule was not scored."""
        scored = [window for window in self.windows if rule in window.scores]
        return max(scored, key=lambda window: window.scores[rule], default=None)

    def rescored(self, window: Window, texts: Sequence[str], rule: str) -> list[float]:
        """The rule's score of a window if it said something else."""
        made = []
        for text in texts:
            reading = window.reading
            beside = in_context(self.prompt, text) if reading.in_context != reading.text else text
            made.append(Reading(0, reading.part, reading.original, reading.view, reading.span, text, beside))
        return [scores.get(rule, 0.0) for scores in self.detector.scored(made)]


def read_windows(
    detector: MeaningDetector, exchange: Exchange, found: Collection[tuple[tuple[int, int], str]] = ()
) -> Windows:
    """Look at the windows of an exchange again, each by itself; at most `MOST`.

    Args:
        detector: of the gate.
        exchange: what is explained.
        found: span and view of windows that must be among them.
    """
    everything = list(readings(exchange, 0, detector.encoder))
    chosen = everything
    if len(everything) > MOST:
        must = [each for each in everything if (each.span, each.view) in found][: MOST // 2]
        step = len(everything) / (MOST - len(must))
        spread = [everything[int(at * step)] for at in range(MOST - len(must))]
        chosen = [*must, *(each for each in spread if each not in must)]
    scored = detector.scored(chosen) if chosen else []
    windows = tuple(Window(reading, scores) for reading, scores in zip(chosen, scored, strict=True))
    return Windows(windows, len(everything), asked_before(exchange), detector)
