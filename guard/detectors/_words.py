"""Which words a text is made of: single words and pairs, weighed by rarity; single characters and pairs in Chinese.

An encoder hears the topic of a text louder than what is done with it. `I won't`, `send it to`, `how do I stop` are
in the words.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float32]

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_]+(?:['’][^\W_]+)?")


class Words:
    """Turns texts into rows over the words that at least two of the taught texts share."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Learn vocabulary and rarity from the taught texts."""
        seen = Counter(word for text in texts for word in set(_words(text)))
        shared = [word for word, count in seen.items() if count > 1]
        self._columns = {word: column for column, word in enumerate(shared)}
        self._weights = [math.log(len(texts) / seen[word]) for word in shared]

    def rows(self, texts: Sequence[str]) -> Floats:
        """Rows of length 1, or 0 where no word is known: (len(texts), vocabulary) float32."""
        import numpy as np

        rows = np.zeros((len(texts), len(self._columns)), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in _words(text):
                column = self._columns.get(word)
                if column is not None:
                    row[column] = self._weights[column]
        return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9), np.float32)


def _words(text: str) -> Iterator[str]:
    before = ""
    for match in _WORD.finditer(text.lower()):
        word = match[0].replace("’", "'")
        yield word
        if before:
            yield f"{before} {word}"
        before = word
