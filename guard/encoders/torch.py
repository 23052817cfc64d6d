"""Encoders computed by torch: any sentence-transformers model, on the GPU where there is one."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from guard.behind import is_behind
from guard.encoders.adapter import Adapter, identity_of
from guard.encoders.base import ASK_FOR, EncoderError, clean
from guard.encoders.source import Source, find
from guard.encoders.windows import by_bytes, room_beside, windows

if TYPE_CHECKING:
    from guard.encoders.base import Floats

_BATCH = 32
_FEW = 4
"""Texts that are encoded before others have their turn, where nobody waits for them."""
_MAKING_WAY_S = 0.001
_NO_LIMIT = 100_000
"""A token limit above this is a tokenizer's way of saying that it knows none."""


class SentenceEncoder:
    """A sentence-transformers model."""

    backend = "torch"

    def __init__(
        self,
        name: str = "default",
        *,
        adapter: Adapter | None = None,
        threads: int | None = None,
        device: str | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        """Load the model; takes seconds.

        Args:
            name: a folder, a hub id, or `default` for all-MiniLM-L6-v2.
            adapter: differences of the weights, merged at once.
            threads: of torch on the CPU, for the whole process; as they are where left out.
            device: as torch names it; the GPU where there is one, where left out.
            notes: what is to be told of it.

        Raises:
            EncoderError: there is no such folder or model, it does not load, or the adapter is another encoder's.
        """
        source = find(name)
        if adapter:
            adapter.check(source.weights)
        self.model: Any = load(source, device)
        """The model of sentence-transformers, for those who train or export it."""
        if adapter:
            adapter.merge(transformer(self.model))
        if threads:
            import torch

            torch.set_num_threads(threads)
        self.base = source.weights
        """What adapters and heads name the encoder by."""
        self.identity = identity_of(source.identity, adapter)
        self.notes = tuple(notes)
        limit = self.model.max_seq_length
        self.limit: int = int(limit) if limit and limit <= _NO_LIMIT else 256
        """Tokens that a text may have, special ones counted."""
        # Fast tokenizers change their own settings while they run, and two threads in one of them raise.
        self._lock = threading.Lock()
        self._plain = plain_tokenizer(self.model)
        self.dim = int(self.encode([""]).shape[1])

    def encode(self, texts: Sequence[str]) -> Floats:
        """See `Encoder.encode`."""
        import numpy as np

        if not texts:
            return np.zeros((0, self.dim), np.float32)
        if is_behind() and len(texts) > _FEW:
            slices = (texts[start : start + _FEW] for start in range(0, len(texts), _FEW))
            return np.concatenate([self._making_way(few) for few in slices])
        return self._encoded(texts)

    def _encoded(self, texts: Sequence[str]) -> Floats:
        import numpy as np

        with self._lock:
            vectors = self.model.encode(
                [clean(text) for text in texts],
                batch_size=_BATCH,
                show_progress_bar=False,
                convert_to_numpy=True,
                normalize_embeddings=True,
            )
        return np.asarray(vectors, np.float32)

    def _making_way(self, texts: Sequence[str]) -> Floats:
        vectors = self._encoded(texts)
        time.sleep(_MAKING_WAY_S)  # a lock that is taken again at once is never free for those who wait
        return vectors

    def windows(self, text: str, beside: str = "") -> list[tuple[int, int]]:
        """See `Encoder.windows`."""
        return windows(text, room_beside(beside, self.limit, self._offsets), self._offsets)

    def close(self) -> None:
        """Let go of the model."""
        self.model = None

    def _offsets(self, text: str) -> list[tuple[int, int]]:
        if self._plain is None:
            return by_bytes(text)
        offsets: list[tuple[int, int]] = self._plain.encode(text, add_special_tokens=False).offsets
        return offsets


def load(source: Source, device: str | None = None) -> Any:
    """The model as sentence-transformers loads it, for use and not for training.

    Raises:
        EncoderError: it does not load.
    """
    try:
        with _quiet():
            from sentence_transformers import SentenceTransformer

            model = SentenceTransformer(str(source.folder), local_files_only=True, device=device)
    except Exception as error:
        cause = str(error).strip().splitlines() or [type(error).__name__]
        raise EncoderError(f"encoder `{source.name}` does not load: {cause[0]}", ASK_FOR) from error
    model.eval()
    return model


def transformer(model: Any) -> Any:
    """The torch module whose parameters an adapter names."""
    return getattr(model[0], "auto_model", model[0])


def plain_tokenizer(model: Any) -> Any:
    """A tokenizer of its own that cuts nothing and needs no lock; none where the model's is no fast one."""
    fast = getattr(model.tokenizer, "backend_tokenizer", None)
    if fast is None:
        return None
    from tokenizers import Tokenizer

    plain = Tokenizer.from_str(fast.to_str())
    plain.no_truncation()
    plain.no_padding()
    return plain


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the libraries' progress bars and notices off the terminal."""
    from transformers.utils import logging as transformers_logging

    loggers = [logging.getLogger(name) for name in ("sentence_transformers", "huggingface_hub", "transformers")]
    levels = [logger.level for logger in loggers]
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if bars:
            transformers_logging.enable_progress_bar()
