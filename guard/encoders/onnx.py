"""Encoders computed by onnxruntime with 8-bit weights: several times faster than torch on a CPU, without it."""

from __future__ import annotations

import importlib.util
import io
import os
import platform
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guard.behind import is_behind
from guard.encoders import cache as files
from guard.encoders._texts import TEXTS
from guard.encoders.adapter import Adapter, identity_of
from guard.encoders.base import EncoderError, clean
from guard.encoders.source import Source, cache_folder
from guard.encoders.windows import room_beside, windows

if TYPE_CHECKING:
    from guard.encoders.base import Floats

LOWEST, MEAN = 0.97, 0.985
"""Cosines to the reference below which the file is refused: of the worst text, and of all."""

_FORM = "onnx-int8/1"
_MODEL, _TOKENIZER, _REFERENCE = "encoder.onnx", "tokenizer.json", "reference.npy"
_TAKE_TORCH = "take `backend=torch`, or `auto`, which falls back to it"


class OnnxEncoder:
    """A sentence-transformers model as an ONNX file, made on first use and kept."""

    backend = "onnx-int8"

    def __init__(
        self, source: Source, *, adapter: Adapter | None = None, threads: int | None = None, cache: Path | None = None
    ) -> None:
        """Load the file; make it first where there is none, which loads torch and takes half a minute.

        Args:
            source: the model.
            adapter: differences of the weights, merged before the export.
            threads: texts encoded at once; the cores of this process where left out.
            cache: folder for the files; the user's cache folder where left out.

        Raises:
            EncoderError: the model cannot be exported, its vectors are too far from torch's, a package is missing,
                or the adapter is another encoder's.
        """
        if adapter:
            adapter.check(source.weights)
        self.identity = identity_of(source.identity, adapter)
        self.notes: tuple[str, ...] = ()
        place = files.folder_of(cache or cache_folder(), "onnx-int8", self.identity)
        made = files.kept(place, _FORM, lambda: _make(source, adapter), stale=_stale)
        if refused := made.card.get("refused"):
            raise EncoderError(f"encoder `{source.name}` is not used by ONNX: {refused}", _TAKE_TORCH)
        self.limit: int = made.card["limit"]
        """Tokens that a text may have, special ones counted."""
        self.dim: int = made.card["dim"]
        self._core: _Core | None = _Core(made.files)
        if made.card["checked"]["where"] != _where():
            # Other processors multiply 8-bit numbers in other ways, and a cache folder may be shared by machines.
            checked = _compare(self._open(), made.files[_REFERENCE])
            files.write(place, _FORM, files.Made({**made.card, "checked": checked}, made.files))
        else:
            checked = made.card["checked"]
        if far := _far(checked):
            raise EncoderError(f"encoder `{source.name}` is not used by ONNX on this machine: {far}", _TAKE_TORCH)
        self.checked: dict[str, Any] = dict(checked)
        """How near its vectors are to torch's: `lowest` and `mean` cosine over `texts` texts, and `where` measured."""
        self._pool = ThreadPoolExecutor(threads or cores(), "encoder")
        self._threads = threads or cores()
        self._plain: Any = None
        self._lock = threading.Lock()

    def encode(self, texts: Sequence[str]) -> Floats:
        """See `Encoder.encode`. What a text's vector is does not depend on the texts beside it."""
        import numpy as np

        core = self._open()
        if not texts:
            return np.zeros((0, self.dim), np.float32)
        if len(texts) == 1:
            return core.encode(texts[0])
        # The pool takes texts in their order: those of a request would wait for all that came before.
        if self._threads == 1 or is_behind():
            return np.concatenate([core.encode(text) for text in texts])
        # Longest first: else one thread may be left with a long text when the others are done.
        order = sorted(range(len(texts)), key=lambda place: -len(texts[place]))
        vectors = np.empty((len(texts), self.dim), np.float32)
        for place, vector in zip(order, self._pool.map(core.encode, [texts[place] for place in order]), strict=True):
            vectors[place] = vector[0]
        return vectors

    def windows(self, text: str, beside: str = "") -> list[tuple[int, int]]:
        """See `Encoder.windows`."""
        return windows(text, room_beside(beside, self.limit, self._offsets), self._offsets)

    def close(self) -> None:
        """Let go of the model."""
        self._pool.shutdown(wait=True)
        self._core = None

    def _offsets(self, text: str) -> list[tuple[int, int]]:
        with self._lock:
            if self._plain is None:
                # One that cuts nothing; made when the first long text comes, since most services see none for long.
                self._plain = self._open().tokenizer_without_limit()
        offsets: list[tuple[int, int]] = self._plain.encode(text, add_special_tokens=False).offsets
        return offsets

    def _open(self) -> _Core:
        if self._core is None:
            raise RuntimeError("the encoder is closed")
        return self._core


class _Core:
    """Tokenizer and session."""

    def __init__(self, made: Mapping[str, bytes]) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise EncoderError("onnxruntime is not installed", _TAKE_TORCH) from error
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        # One thread a text: the threads of onnxruntime wait for each other in busy loops, which on a machine with
        # other work cost 8 ms where one thread alone took 1.5 ms.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session: Any = onnxruntime.InferenceSession(made[_MODEL], options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors have no common class but this
            raise EncoderError(f"onnxruntime does not load the file: {error}", _TAKE_TORCH) from error
        self._json = made[_TOKENIZER].decode()
        self._tokenizer: Any = Tokenizer.from_str(self._json)

    def encode(self, text: str) -> Floats:
        import numpy as np

        ids = np.array([self._tokenizer.encode(clean(text)).ids], np.int64)
        vector: Floats = self._session.run(None, {"ids": ids})[0]
        return vector

    def tokenizer_without_limit(self) -> Any:
        from tokenizers import Tokenizer

        plain = Tokenizer.from_str(self._json)
        plain.no_truncation()
        return plain


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _make(source: Source, adapter: Adapter | None) -> files.Made:
    """Files and card; a card with the reason alone where the model cannot be taken, so that it is not tried again."""
    for package in ("onnx", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            raise EncoderError(f"the export to ONNX needs `{package}`, which is not installed", f"install `{package}`")
    from guard.encoders.export import export
    from guard.encoders.torch import SentenceEncoder

    encoder = SentenceEncoder(source.name, adapter=adapter, device="cpu")
    try:
        made = export(encoder)
    except EncoderError as error:
        return files.Made({"refused": error.what, "versions": _versions()}, {})
    finally:
        encoder.close()
    checked = _compare(_Core(made.files), made.files[_REFERENCE])
    card = {**made.card, "checked": checked, "versions": _versions()}
    if far := _far(checked):
        return files.Made({**card, "refused": far}, {})
    return files.Made(card, made.files)


def _stale(card: Mapping[str, Any]) -> bool:
    """A refusal holds for the libraries that could not do it."""
    return "refused" in card and card.get("versions") != _versions()


def _versions() -> dict[str, str]:
    """By the metadata: importing torch for it would cost what ONNX saves."""
    names = ("onnx", "onnxruntime", "sentence-transformers", "torch", "transformers")
    return {name: version(name) for name in names if importlib.util.find_spec(name.replace("-", "_"))}


def _compare(core: _Core, reference: bytes) -> dict[str, Any]:
    import numpy as np

    there = np.load(io.BytesIO(reference), allow_pickle=False)
    here = np.concatenate([core.encode(text) for text in TEXTS])
    cosines = (there * here).sum(axis=1)
    return {
        "lowest": round(float(cosines.min()), 5),
        "mean": round(float(cosines.mean()), 5),
        "texts": len(TEXTS),
        "where": _where(),
    }


def _far(checked: dict[str, Any]) -> str:
    if checked["lowest"] >= LOWEST and checked["mean"] >= MEAN:
        return ""
    return (
        f"its vectors have cosine {checked['lowest']:.3f} (worst) and {checked['mean']:.3f} (mean) to torch's,"
        f" below {LOWEST} and {MEAN}"
    )


def _where() -> str:
    """The processor and the runtime, which decide how the numbers come out."""
    import onnxruntime

    model = platform.processor() or platform.machine()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    return f"{model}, onnxruntime {onnxruntime.__version__}"
