"""Which script a text is written in, as far as it decides how far an encoder can be trusted with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Flags: TypeAlias = NDArray[np.bool_]

_LOOKED_AT = 1_000
_LAST_LATIN = "\u024f"
_SHARE = 0.4


def is_other(text: str) -> bool:
    """Whether more than two fifths of the letters are of another script than the Latin one."""
    if text.isascii():
        return False
    letters = [char for char in text[:_LOOKED_AT] if char.isalpha()]
    other = sum(char > _LAST_LATIN for char in letters)
    return other > _SHARE * len(letters)


POORLY_READ = "some of the text, or all of it, is in a script that the encoder reads poorly"
"""What coverage says of such a text, where the encoder is known to be weak on it."""


def others(texts: Sequence[str]) -> Flags:
    """`is_other` of each text: (n,) bool."""
    import numpy as np

    return np.array([is_other(text) for text in texts], dtype=bool)
