"""What every encoder does. No detector knows more of one than `Encoder`.

EncoderError            the encoder cannot be loaded, or what belongs to it does not fit
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

from rules.errors import WardlawError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float32]

DEFAULT_ID = "sentence-transformers/all-MiniLM-L6-v2"
ASK_FOR = "give the folder or the hub id of a sentence-transformers model, or `default`"


class EncoderError(WardlawError):
    """The encoder cannot be loaded, or what belongs to it does not fit."""


class Encoder(Protocol):
    """Maps texts to vectors. Safe to call from several threads."""

    @property
    def identity(self) -> str:
        """Which model it is: a digest of its files, or id and revision; with an adapter, the adapter's digest too.

        The same for all backends, so that what was trained on one belongs to the others.
        """

    @property
    def backend(self) -> str:
        """What computes the vectors, with its precision: `torch`, `onnx-int8`. Those of two differ a little."""

    @property
    def dim(self) -> int:
        """The length of a vector."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What is not as asked for, a sentence each, such as why a slower backend had to be taken."""

    def encode(self, texts: Sequence[str]) -> Floats:
        """Vectors of texts that fit the limit: (len(texts), dim) float32, rows of length 1."""

    def windows(self, text: str, beside: str = "") -> list[tuple[int, int]]:
        """Half-open character spans that cover the text and overlap; none for a blank text.

        Each fits the limit together with `beside`, a short text that is encoded in front of it.
        """

    def close(self) -> None:
        """Let go of the model. May be called twice."""


def clean(text: str) -> str:
    """The text with lone surrogates, which tokenizers refuse, as `?`; as many characters as before."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
