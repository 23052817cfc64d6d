"""Which rules a text is about, whether or not it breaks them: its nearness to all of a rule's examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from guard.detectors._prototypes import Labelled

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float32]

NEAREST = 5
"""Examples whose mean cosine counts. Right rule first, on the base pack's tests, prompt and text added: .44 with one
example, .49 with three, .56 with five."""


class Topics:
    """The examples of all rules, prompts and answers, breaking and kept: near misses tell a topic as well as breaks."""

    def __init__(self, sides: Sequence[Labelled], rules: int) -> None:
        """Args: sides: the taught texts; rules: how many rules the constitution has."""
        import numpy as np

        vectors = np.concatenate([side.vectors for side in sides])
        owners = np.concatenate([side.rules for side in sides])
        self._by_rule = [vectors[owners == rule] for rule in range(rules)]

    def nearness(self, vectors: Floats) -> Floats:
        """Mean cosine of each text to its nearest examples of each rule.

        Args:
            vectors: (n, dim) float32, rows of length 1.

        Returns:
            (n, rules) float32 in [-1, 1]; -1 for a rule without examples. A similarity, not a probability.
        """
        import numpy as np

        found = np.full((len(vectors), len(self._by_rule)), -1.0, np.float32)
        for rule, examples in enumerate(self._by_rule):
            if len(examples):
                similar = vectors @ examples.T
                few = min(NEAREST, len(examples))
                found[:, rule] = np.partition(similar, -few, axis=1)[:, -few:].mean(axis=1)
        return found
