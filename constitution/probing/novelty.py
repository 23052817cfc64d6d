"""Whether a text is new: by the words it shares in order with earlier ones (ROUGE-L), and by its meaning.

Source: Lin 2004, ROUGE; the threshold of 0.7 for a new instruction is that of Self-Instruct (Wang et al. 2022,
arXiv:2212.10560).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from constitution.probing.probe import Novelty

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from guard.encoders.base import Encoder

    Floats: TypeAlias = NDArray[np.float32]

_TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_]+")
MOST_TOKENS = 400
"""Tokens of a text that are compared: a probe seldom has a quarter as many."""


def tokens_of(text: str) -> tuple[str, ...]:
    """Words in small letters; each Han, kana or hangul character is one."""
    return tuple(_TOKEN.findall(text.casefold())[:MOST_TOKENS])


def rouge_l(left: Sequence[str], right: Sequence[str]) -> float:
    """F1 of the longest common subsequence of two lists of tokens, from 0 to 1; rapidfuzz calls it Indel similarity."""
    from rapidfuzz.distance import Indel

    return Indel.normalized_similarity(left, right) if left and right else 0.0


class Pool:
    """Texts that there are already, and how near a new one is to them."""

    def __init__(self, encoder: Encoder | None = None, *, latin: bool = True) -> None:
        """A pool of none.

        Args:
            encoder: for nearness in meaning; without it there is none.
            latin: whether the encoder reads no script but the Latin one well; texts in another are then compared by
                their words alone.
        """
        self._encoder = encoder
        self._latin = latin
        self._ids: list[str] = []
        self._tokens: list[tuple[str, ...]] = []
        self._vectors: list[Floats | None] = []

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, name: str, text: str) -> None:
        """Put a text in."""
        self._ids.append(name)
        self._tokens.append(tokens_of(text))
        self._vectors.append(self._vector(text))

    def extend(self, texts: Iterable[tuple[str, str]]) -> None:
        """Put in pairs of id and text."""
        for name, text in texts:
            self.add(name, text)

    def nearest(self, text: str) -> Novelty:
        """The nearest of the pool, by words and by meaning."""
        if not self._ids:
            return Novelty(rouge=0.0)
        tokens = tokens_of(text)
        rouges = [rouge_l(tokens, other) for other in self._tokens]
        rouge = max(rouges)
        vector = self._vector(text)
        cosines = (
            []
            if vector is None
            else [(float(vector @ other), name) for other, name in self._read() if other is not None]
        )
        cosine, name = max(cosines, default=(None, None))
        return Novelty(
            rouge=round(rouge, 4),
            rouge_like=self._ids[rouges.index(rouge)],
            cosine=None if cosine is None else round(cosine, 4),
            cosine_like=name,
        )

    def has_like(self, text: str, like: float) -> bool:
        """Whether any text of the pool has this ROUGE-L with it or more."""
        tokens = tokens_of(text)
        return any(rouge_l(tokens, other) >= like for other in self._tokens)

    def _read(self) -> Iterable[tuple[Floats | None, str]]:
        return zip(self._vectors, self._ids, strict=True)

    def _vector(self, text: str) -> Floats | None:
        """The mean of the vectors of a text's windows, of length 1."""
        if self._encoder is None or not text.strip():
            return None
        from guard.encoders.base import clean
        from guard.trained.scripts import is_other

        if self._latin and is_other(text):
            return None
        import numpy as np

        text = clean(text)
        windows = self._encoder.windows(text)
        if not windows:
            return None
        mean = self._encoder.encode([text[start:end] for start, end in windows]).mean(axis=0)
        length = float(np.linalg.norm(mean))
        found: Floats = mean / length if length else mean
        return found
