"""The arithmetic of the meaning detector: how near a text stands to breaking each rule.

Three things are measured and added with fixed weights: where the text lies on one axis that separates everything that
breaks a rule from everything that does not, over all rules; how much nearer it is to the breaking examples of the
rule than to its near misses; and how much farther it is from the rule's topic than from the nearest rule's. The axis
carries most: near misses are written as twins of what breaks a rule, so nearness alone mostly tells the topic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from guard.detectors._words import Words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float32]
    Ints: TypeAlias = NDArray[np.int64]

NEAREST = 3
"""Examples whose mean similarity counts as nearness."""

RIDGE = 1.0
"""Shrinkage of the axis."""

AXIS, MISSES, TOPIC = 1.0, 0.5, 0.5
"""Weights of the three measures."""

FALSE_ALARM = 2.0
"""What one harmless text flagged costs, in breaking texts missed."""

UNTAUGHT_BORDER = 0.1
"""Margin from which a text is taken to break a rule where no examples say better."""

STEEPNESS = 4.0
"""From margin to logit: how fast a score moves from 0 to 1 around the border."""

SHRINK = 30.0
"""Examples' worth of trust in the border of all rules together over that of one rule alone."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """Examples of one side (what is asked, or what is answered)."""

    texts: Sequence[str]
    """(n,) the examples themselves."""
    vectors: Floats
    """(n, dim), rows of length 1."""
    rules: Ints
    """(n,) place of the rule in the constitution; -1 for neutral texts."""
    breaks: Ints
    """(n,) 1 where the example breaks its rule, 0 where it keeps it."""
    words: Ints
    """(n,) 1 where the text is the rule's own words and not an example: it teaches nearness and not the axis."""


class Prototypes:
    """Margins of texts to the rules of a constitution, on one side."""

    def __init__(self, data: Labelled, rules: int) -> None:
        """Learn axis and borders from the examples.

        Args:
            data: examples, near misses, neutral texts and words of all rules.
            rules: how many rules the constitution has.
        """
        import numpy as np

        self._data = data
        self._rules = rules
        self._taught = np.flatnonzero(data.words == 0)
        self._words = Words([data.texts[int(row)] for row in self._taught])
        self._dual, self._axis, self._left_out = self._fit_axis()
        self.borders: Floats = self._fit_borders()

    def scores(self, texts: Sequence[str], vectors: Floats) -> Floats:
        """Scores of texts for all rules.

        Args:
            texts: m texts that fit the encoder's limit.
            vectors: their embeddings, (m, dim) float32, rows of length 1.

        Returns:
            (m, rules) float32 from 0 to 1, 0.5 on the border; 0 for a rule without prototypes. Not probabilities.
        """
        import numpy as np

        logits = STEEPNESS * (self.margins(texts, vectors) - self.borders)
        return np.asarray(1 / (1 + np.exp(-np.clip(logits, -30, 30))), np.float32)

    def margins(self, texts: Sequence[str], vectors: Floats) -> Floats:
        """The weighted sum of the measures: (m, rules) float32; -inf for a rule without prototypes."""
        similar = vectors @ self._data.vectors.T
        place = _kernel(similar[:, self._taught]) @ self._dual + self._words.rows(texts) @ self._axis
        return self._combine(place, similar)

    def margins_left_out(self) -> Floats:
        """Margins of the taught texts themselves, (taught, rules), each as if it and its twin were unknown.

        A twin is the nearest example of the same rule with the other label. Leaving out the text alone would leave
        its twin as the nearest example there is, and put nearly every text on the wrong side.
        """
        similar = (self._data.vectors[self._taught] @ self._data.vectors.T).copy()
        for row, group in enumerate(self._groups()):
            similar[row, self._taught[group]] = -2.0
        return self._combine(self._left_out, similar)

    def _combine(self, place: Floats, similar: Floats) -> Floats:
        import numpy as np

        data = self._data
        margins = np.full((len(place), self._rules), -np.inf, np.float32)
        topic = np.full_like(margins, -1.0)
        others = _Nearest(similar, np.flatnonzero(data.breaks == 0), data.rules)
        for rule in range(self._rules):
            mine = data.rules == rule
            breaking = similar[:, mine & (data.breaks == 1)]
            if not breaking.shape[1]:
                continue
            near = _nearest(breaking)
            misses = similar[:, mine & (data.breaks == 0)]
            keeping = _nearest(misses) if misses.shape[1] else np.full(len(place), -1.0, np.float32)
            if not misses.shape[1] or data.words[mine].any():
                # Else a neutral text, as far from the rule's words as from what it allows, would pass for a break.
                keeping = np.maximum(keeping, others.but(rule))
            topic[:, rule] = _nearest(similar[:, mine])
            margins[:, rule] = AXIS * place + MISSES * (near - keeping)
        return np.asarray(margins + TOPIC * (topic - topic.max(axis=1, keepdims=True, initial=-1.0)), np.float32)

    def _groups(self) -> list[Ints]:
        """For each taught text the taught texts left out with it: itself, and its twin."""
        import numpy as np

        data, taught = self._data, self._taught
        similar = data.vectors[taught] @ data.vectors[taught].T
        rules, breaks = data.rules[taught], data.breaks[taught]
        groups = []
        for row, rule in enumerate(rules):
            twins = np.flatnonzero((rules == rule) & (breaks != breaks[row]))
            group = [row] if rule < 0 or not len(twins) else [row, int(twins[np.argmax(similar[row, twins])])]
            groups.append(np.array(group, np.int64))
        return groups

    def _fit_axis(self) -> tuple[Floats, Floats, Floats]:
        """Kernel ridge regression of the labels on meaning and words, both classes weighing the same.

        Returns:
            the weight of each taught text, (taught,); the axis in the space of words, (vocabulary,), which includes
            the constant by way of the kernel; and the place on the axis of each taught text left out with its twin,
            (taught,), by the closed form of the left-out residual: no text needs a fit of its own.
        """
        import numpy as np

        vectors = self._data.vectors[self._taught].astype(np.float64)
        words = self._words.rows([self._data.texts[int(row)] for row in self._taught]).astype(np.float64)
        breaks = self._data.breaks[self._taught]
        if not breaks.any() or breaks.all():
            flat = np.zeros(len(vectors), np.float32)
            return flat, np.zeros(words.shape[1], np.float32), flat
        target = 2.0 * breaks - 1.0
        weight = np.where(breaks == 1, 0.5 / breaks.mean(), 0.5 / (1 - breaks.mean()))
        kernel = _kernel(vectors @ vectors.T) + words @ words.T
        inverse = np.linalg.inv(kernel + np.diag(RIDGE / weight))
        dual = inverse @ target
        # The residuals of a group left out are the block of the inverse, solved for the group's weights.
        left_out = np.empty(len(vectors))
        for row, group in enumerate(self._groups()):
            left_out[row] = target[row] - np.linalg.solve(inverse[np.ix_(group, group)], dual[group])[0]
        return dual.astype(np.float32), (words.T @ dual).astype(np.float32), left_out.astype(np.float32)

    def _fit_borders(self) -> Floats:
        """The margin, a rule, from which a text is taken to break it."""
        import numpy as np

        rules, breaks = self._data.rules[self._taught], self._data.breaks[self._taught]
        if not self._rules:
            return np.zeros(0, np.float32)
        margins = self.margins_left_out()
        own = np.where(rules >= 0, margins[np.arange(len(rules)), np.maximum(rules, 0)], -np.inf)
        highest = margins.max(axis=1, initial=-np.inf)
        breaking = own[breaks == 1]
        together = _border(highest[breaks == 1], highest[breaks == 0])
        borders = np.full(self._rules, together, np.float32)
        for rule in range(self._rules):
            mine = breaking[rules[breaks == 1] == rule]
            if len(mine) >= 2 and np.isfinite(mine).all():
                trust = len(mine) / (len(mine) + SHRINK)
                borders[rule] = trust * _border(mine, margins[breaks == 0, rule]) + (1 - trust) * together
        return borders


class _Nearest:
    """Nearness to the harmless texts of everything but one rule, without sorting anew for each rule."""

    def __init__(self, similar: Floats, columns: Ints, rules: Ints) -> None:
        self._similar = similar[:, columns]
        self._rules = rules[columns]

    def but(self, rule: int) -> Any:
        return _nearest(self._similar[:, self._rules != rule])


def _nearest(similar: Floats) -> Any:
    """Mean of the NEAREST highest of each row: (m,). Columns left out hold -2 and count only where none is left."""
    import numpy as np

    count = min(NEAREST, similar.shape[1])
    if not count:
        return np.zeros(len(similar), np.float32)
    top = np.partition(similar, similar.shape[1] - count, axis=1)[:, -count:]
    real = top > -1.5
    return np.where(real, top, 0).sum(axis=1) / np.maximum(real.sum(axis=1), 1)


def _kernel(similar: Any) -> Any:
    """Likeness in meaning, from cosines: a constant, the cosine, and its square, which sharpens what is near."""
    return 1 + (similar + similar**2) / 2


def _border(breaking: Sequence[float] | Any, harmless: Sequence[float] | Any) -> float:
    """The margin that splits the two best: the middle of the stretch where found less false alarms is highest."""
    import numpy as np

    breaking = np.sort(np.asarray(breaking, np.float64))
    harmless = np.sort(np.asarray(harmless, np.float64))
    breaking, harmless = breaking[np.isfinite(breaking)], harmless[np.isfinite(harmless)]
    if not len(breaking) or not len(harmless):
        return UNTAUGHT_BORDER
    values = np.unique(np.concatenate([breaking, harmless]))
    cuts = np.concatenate([[values[0] - 0.1], (values[1:] + values[:-1]) / 2, [values[-1] + 0.1]])
    found = 1 - np.searchsorted(breaking, cuts) / len(breaking)
    flagged = 1 - np.searchsorted(harmless, cuts) / len(harmless)
    gain = found - FALSE_ALARM * flagged
    return float(np.mean(cuts[gain >= gain.max() - 0.02]))
