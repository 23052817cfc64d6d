"""Which words carried a score: each stretch of the text left out in turn, and the rest scored anew."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from guard.explaining.windows import Window, Windows

MOST = 20
"""Stretches that are left out in turn, of a text and of its weightiest sentence: encodings that an answer costs."""

SHOWN = 3
LEAST = 0.005
"""What leaving it out must change for a stretch to be told."""

_SENTENCE = re.compile(r"[^.!?。！？；\n]+[.!?。！？；\n]*\s*|[.!?。！？；\n]+\s*")
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_]+(?:['’][^\W_]+)*|[^\w\s]+|_+")


@dataclass(frozen=True, slots=True)
class Carried:
    """A stretch of the text, and the score without it."""

    text: str
    without: float
    """The rule's score of the window when this is left out."""
    span: tuple[int, int] | None = None
    """In the original text; None in a decoded view, whose letters stand elsewhere."""


def carried_by(windows: Windows, window: Window, rule: str) -> tuple[Carried, ...]:
    """The stretches whose absence lowers the rule's score most, lowest first; none where no absence does.

    Sentences are left out first, and then groups of words of the one that weighs most; at most `2 * MOST` encodings.
    """
    text = window.reading.text
    score = window.scores[rule]
    pieces = _grouped([match.span() for match in _SENTENCE.finditer(text)])
    tried: list[tuple[float, tuple[int, int]]] = []
    if len(pieces) >= 3:
        tried = _left_out(windows, window, rule, pieces)
        _, (start, end) = min(tried)
    else:
        start, end = 0, len(text)
    inner = _grouped([(start + first, start + last) for first, last in _words(text[start:end])])
    fine = _left_out(windows, window, rule, inner) if len(inner) >= 2 else []
    # A sentence that says no more than its weightiest words do is not told twice.
    lowest = min((without for without, _ in fine), default=2.0)
    tried = [each for each in tried if each[1] != (start, end) or each[0] < lowest - LEAST]
    told = sorted((each for each in [*tried, *fine] if score - each[0] >= LEAST), key=lambda each: each[0])
    offset = window.reading.span[0] if window.reading.view == "raw" else None
    return tuple(
        Carried(text[first:last].strip(), without, None if offset is None else (offset + first, offset + last))
        for without, (first, last) in told[:SHOWN]
    )


def _left_out(
    windows: Windows, window: Window, rule: str, pieces: Sequence[tuple[int, int]]
) -> list[tuple[float, tuple[int, int]]]:
    """The score without each of the pieces."""
    text = window.reading.text
    rest = [" ".join((text[:start].rstrip(), text[end:].lstrip())).strip() for start, end in pieces]
    kept = [(piece, said) for piece, said in zip(pieces, rest, strict=True) if said]
    scores = windows.rescored(window, [said for _, said in kept], rule)
    return [(score, piece) for score, (piece, _) in zip(scores, kept, strict=True)]


def _words(text: str) -> list[tuple[int, int]]:
    return [match.span() for match in _WORD.finditer(text)]


def _grouped(pieces: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Neighbouring pieces put together, so that there are at most `MOST`."""
    size = -(-len(pieces) // MOST) or 1
    groups = [pieces[at : at + size] for at in range(0, len(pieces), size)]
    return [(group[0][0], group[-1][1]) for group in groups]
