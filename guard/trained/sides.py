"""The heads of one side: what is asked, or what is answered. Numbers alone; `guard.trained.folder` keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float32]

ASKED, ANSWERED = "asked", "answered"
SIDES = (ASKED, ANSWERED)


@dataclass(frozen=True, eq=False)
class Side:
    """The heads for what is asked, or for what is answered."""

    weight: Floats
    """(rules, dim)."""
    bias: Floats
    """(rules,)."""
    slope: float = 1.0
    """From the logit that any rule is broken to the logit of its calibrated probability."""
    offset: float = 0.0
    threshold: float = 0.5
    """Probability from which a text is found to break a rule; it carries the promise of the whole gate."""
    unsure: float = 0.5
    """Probability from which a dearer detector is to be asked."""
    other: tuple[float, float] | None = None
    """Slope and offset for texts in another script than the Latin one, which an encoder may read less well: there the
    same logit is a weaker sign. None where both are read alike."""

    def logits(self, vectors: Floats) -> Floats:
        """(n, rules) from (n, dim)."""
        return vectors @ self.weight.T + self.bias


@dataclass(frozen=True, eq=False)
class Clear:
    """The static tier's heads on one side: one hidden layer, one output, and the score below which a text is clear."""

    hidden: Floats
    """(units, dim)."""
    hidden_bias: Floats
    """(units,)."""
    out: Floats
    """(units,)."""
    out_bias: float
    below: float
    """Logit under which a text is plainly harmless."""

    def logits(self, vectors: Floats) -> Floats:
        """(n,) from (n, dim): how likely the text needs a closer look."""
        import numpy as np

        return np.asarray(np.maximum(vectors @ self.hidden.T + self.hidden_bias, 0) @ self.out + self.out_bias)
