"""Near duplicates: texts that share most of their character n-grams, in any order of the words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

LIKE = 0.8
"""Cosine of the n-gram counts, weighed by rarity, from which two texts are near duplicates. At .8 they differ by a word
or two, or by punctuation; two requests for the same thing in other words stay apart."""

_CHUNK = 512
_CHARACTERS = 2_000
_FEATURES = 1 << 20


def plain(text: str) -> str:
    """The text in small letters, with nothing but letters, digits and single spaces: equal for exact duplicates."""
    return re.sub(r"[\W_]+", " ", text.lower()).strip()


class Grams:
    """Turns texts into comparable rows; learns from the first texts which n-grams are rare."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Args: texts: what rarity is learned from."""
        from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

        self._counts = HashingVectorizer(
            analyzer="char_wb",
            ngram_range=(3, 5),
            n_features=_FEATURES,
            alternate_sign=False,
            norm=None,
            dtype="float32",
        )
        self._weights = TfidfTransformer(sublinear_tf=True).fit(self._count(texts))

    def rows(self, texts: Sequence[str]) -> Any:
        """Sparse rows of length 1: (len(texts), features)."""
        return self._weights.transform(self._count(texts))

    def _count(self, texts: Sequence[str]) -> Any:
        return self._counts.transform([plain(text)[:_CHARACTERS] for text in texts])


def near_any(texts: Sequence[str], others: Sequence[str], grams: Grams, like: float = LIKE) -> list[bool]:
    """Whether each text is a near duplicate of any of the others."""
    if not texts or not others:
        return [False] * len(texts)
    return [hit for _, likeness in _likeness(grams.rows(texts), grams.rows(others)) for hit in (likeness >= like)]


def groups(texts: Sequence[str], grams: Grams, like: float = LIKE) -> list[int]:
    """A number a text, the same for near duplicates and for near duplicates of those."""
    from scipy.sparse import csr_matrix, vstack
    from scipy.sparse.csgraph import connected_components

    if not texts:
        return []
    rows = grams.rows(texts)
    links = []
    for start in range(0, len(texts), _CHUNK):
        product = rows[start : start + _CHUNK] @ rows.T
        product.data = (product.data >= like).astype("float32")
        product.eliminate_zeros()
        links.append(csr_matrix(product))
    return [int(number) for number in connected_components(vstack(links), directed=False)[1]]


def _likeness(rows: Any, others: Any) -> Iterator[tuple[int, Any]]:
    """For chunks of rows: the place of the first, and each row's highest cosine to the others."""
    for start in range(0, rows.shape[0], _CHUNK):
        yield start, (rows[start : start + _CHUNK] @ others.T).max(axis=1).toarray().ravel()
