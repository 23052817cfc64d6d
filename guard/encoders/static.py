"""Static encoders: a vector a token, and a text's is their mean. Tens of microseconds a short text, no limit of length.

They are distilled from an encoder by model2vec's recipe; its own `distill` needs a transformers older than ours.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guard.encoders import cache as files
from guard.encoders.adapter import Adapter, identity_of
from guard.encoders.base import EncoderError, clean
from guard.encoders.source import Source, cache_folder, find
from guard.encoders.windows import pieces

if TYPE_CHECKING:
    from guard.encoders.base import Floats

DIMS = 256

_FORM = "static/1"
_TABLE, _TOKENIZER = "table.npy", "tokenizer.json"


class StaticEncoder:
    """An encoder's tokens as a table of vectors, made on first use and kept. An `Encoder`, of whole texts."""

    backend = "static"

    def __init__(
        self,
        name: str = "default",
        *,
        adapter: Adapter | None = None,
        dims: int = DIMS,
        cache: Path | None = None,
    ) -> None:
        """Load the table; make it first where there is none, which loads torch and takes about a minute.

        Args:
            name: the encoder it is made of: a folder, a hub id, or `default`.
            adapter: differences of that encoder's weights, merged first.
            dims: length of a vector, at most that of the encoder's.
            cache: folder for the table; the user's cache folder where left out.

        Raises:
            EncoderError: the encoder does not load or has no fast tokenizer, or the adapter is another encoder's.
        """
        from tokenizers import Tokenizer

        if dims < 1:
            raise EncoderError(f"static vectors of `{dims}` numbers cannot be made", "give at least 1")
        source = find(name)
        if adapter:
            adapter.check(source.weights)
        whole = identity_of(source.identity, adapter)
        self.identity = f"static/1-{dims}:{whole}"
        self.notes: tuple[str, ...] = ()
        place = files.folder_of(cache or cache_folder(), f"static-{dims}", whole)
        made = files.kept(place, _FORM, lambda: _make(source, adapter, dims, self.identity))
        import numpy as np

        # Half the size on disk; in memory whole floats, which numpy adds up several times faster.
        self._table: Any = np.load(io.BytesIO(made.files[_TABLE]), allow_pickle=False).astype(np.float32)
        self.dim: int = self._table.shape[1]
        self._tokenizer: Any = Tokenizer.from_str(made.files[_TOKENIZER].decode())

    def encode(self, texts: Sequence[str]) -> Floats:
        """Vectors of whole texts, however long: (len(texts), dim) float32, of length 1, or 0 without any token."""
        import numpy as np

        vectors = np.zeros((len(texts), self.dim), np.float32)
        for row, text in enumerate(texts):
            vector = vectors[row]
            for begin, end in pieces(text):
                ids = self._tokenizer.encode(clean(text[begin:end]), add_special_tokens=False).ids
                if ids:
                    vector += self._table.take(ids, 0).sum(0)
            length = float(np.dot(vector, vector)) ** 0.5
            if length > 0.0:
                vector /= length
        return vectors

    def windows(self, text: str, beside: str = "") -> list[tuple[int, int]]:
        """The whole text: there is no limit to fit. None for a blank one."""
        return [(0, len(text))] if text.strip() else []

    def close(self) -> None:
        """Let go of the table."""
        self._table = None


def _make(source: Source, adapter: Adapter | None, dims: int, identity: str) -> files.Made:
    import numpy as np

    from guard.encoders.distill import distill
    from guard.encoders.torch import SentenceEncoder

    # On the CPU always: heads are taught on one machine and used on others, and GPUs round in ways of their own.
    encoder = SentenceEncoder(source.name, adapter=adapter, device="cpu")
    try:
        table, tokenizer = distill(encoder.model, dims)
    finally:
        encoder.close()
    held = io.BytesIO()
    np.save(held, table.astype(np.float16))
    card = {"identity": identity, "tokens": len(table), "dim": table.shape[1]}
    return files.Made(card, {_TABLE: held.getvalue(), _TOKENIZER: tokenizer.encode()})
