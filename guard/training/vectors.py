"""Rows as heads see them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from guard.encoders import Encoder
from guard.training.batches import text_of
from guard.training.rows import Row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float32]


def encode(encoder: Encoder, rows: Sequence[Row]) -> Floats:
    """The vectors of rows as heads see them: (n, dim). A long text counts by its first window."""
    firsts = []
    for row in rows:
        text = text_of(row)
        spans = encoder.windows(text)
        firsts.append(text[: spans[0][1]] if spans else "")
    return encoder.encode(firsts)
