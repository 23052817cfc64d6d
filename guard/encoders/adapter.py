"""Adapters: small files that tune an encoder, as low-rank differences of its weights.

An adapter is a safetensors file. For a weight matrix it holds `<parameter>.a` (rows x rank) and `<parameter>.b`
(rank x columns), and W + a @ b takes the place of W; for a vector (a bias, a norm) it may hold `<parameter>.d`, which
is added. Parameters are named as torch names those of the model's transformer. All are float16, so a tuned MiniLM is
about a megabyte.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from guard import whole_file
from guard.encoders.base import EncoderError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Halves: TypeAlias = NDArray[np.float16]

FORMAT = "wardlaw-adapter/1"
_AGAIN = "train the adapter again for this encoder, or load the encoder it was trained for"
_CORRUPT = "the file is cut off or is no adapter: copy it again, or train it again"


@dataclass(frozen=True)
class Adapter:
    """Differences of an encoder's weights. Arrays are turned into float16 and are not to be changed.

    Raises:
        EncoderError: factors that do not fit each other, or numbers that are not finite in float16.
    """

    encoder: str
    """Digest of the weights it belongs to: `Source.weights`."""

    matrices: Mapping[str, tuple[Halves, Halves]] = field(default_factory=dict)
    """Parameter to (a, b)."""

    vectors: Mapping[str, Halves] = field(default_factory=dict)
    """Parameter to d."""

    def __post_init__(self) -> None:
        import numpy as np

        # What lies beyond float16's range becomes infinite here and is refused below, with the parameter's name.
        with np.errstate(over="ignore"):
            matrices = {
                name: (np.asarray(a, np.float16), np.asarray(b, np.float16)) for name, (a, b) in self.matrices.items()
            }
            vectors = {name: np.asarray(d, np.float16) for name, d in self.vectors.items()}
        object.__setattr__(self, "matrices", matrices)
        object.__setattr__(self, "vectors", vectors)
        for name, (a, b) in matrices.items():
            if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0]:
                raise EncoderError(f"adapter's factors of `{name}` do not fit: {a.shape} and {b.shape}", _CORRUPT)
        for name, d in vectors.items():
            if d.ndim != 1:
                raise EncoderError(f"adapter's difference of `{name}` is no vector: {d.shape}", _CORRUPT)
        for name, array in self._arrays().items():
            if not np.isfinite(array).all():
                raise EncoderError(f"adapter's `{name}` is not finite in float16", "train with a lower learning rate")

    @classmethod
    def load(cls, path: Path | str) -> Adapter:
        """Read a file.

        Raises:
            EncoderError: it is not there, is cut off, or is of another format.
        """
        from safetensors import SafetensorError, safe_open

        path = Path(path)
        if not path.is_file():
            raise EncoderError(f"adapter `{path}` is not there", "give the path of a safetensors file")
        try:
            with safe_open(path, framework="np") as opened:
                about = opened.metadata() or {}
                arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (no mapping)
        except (SafetensorError, OSError, ValueError) as error:
            raise EncoderError(f"adapter `{path}` does not load: {error}", _CORRUPT) from error
        if about.get("format") != FORMAT:
            raise EncoderError(
                f"adapter `{path}` has format `{about.get('format', 'none')}`, not `{FORMAT}`",
                "train it again with this version, or install the version that wrote it",
            )
        matrices, vectors = {}, {}
        for key, array in arrays.items():
            name, _, kind = key.rpartition(".")
            if kind == "a" and f"{name}.b" in arrays:
                matrices[name] = (array, arrays[f"{name}.b"])
            elif kind == "d":
                vectors[name] = array
            elif kind != "b" or f"{name}.a" not in arrays:
                raise EncoderError(f"adapter `{path}` holds `{key}` without its other half", _CORRUPT)
        return cls(about.get("encoder", ""), matrices, vectors)

    def save(self, path: Path | str) -> None:
        """Write a file, whole or not at all."""
        from safetensors.numpy import save

        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        whole_file.write(path, save(self._arrays(), {"format": FORMAT, "encoder": self.encoder}))

    @cached_property
    def digest(self) -> str:
        """Of all it holds; part of the tuned encoder's identity."""
        digest = hashlib.blake2b(self.encoder.encode(), digest_size=16)
        for name, array in sorted(self._arrays().items()):
            digest.update(json.dumps([name, array.shape]).encode() + array.tobytes())
        return digest.hexdigest()

    def check(self, weights: str) -> None:
        """See that it belongs to the encoder.

        Raises:
            EncoderError: it belongs to another one.
        """
        if self.encoder != weights:
            raise EncoderError(f"adapter is for encoder `{self.encoder}`, and this one is `{weights}`", _AGAIN)

    def merge(self, transformer: Any) -> None:
        """Add the differences to a torch module's parameters, in place.

        Raises:
            EncoderError: the module lacks a parameter, or one has another shape; nothing is changed then.
        """
        import torch

        parameters = dict(transformer.named_parameters())
        shapes = {name: (a.shape[0], b.shape[1]) for name, (a, b) in self.matrices.items()}
        shapes |= {name: d.shape for name, d in self.vectors.items()}
        for name, shape in shapes.items():
            if name not in parameters:
                raise EncoderError(f"adapter tunes `{name}`, which the encoder does not have", _AGAIN)
            if tuple(parameters[name].shape) != tuple(shape):
                there = tuple(parameters[name].shape)
                raise EncoderError(f"adapter's `{name}` is {tuple(shape)}, and the encoder's is {there}", _AGAIN)
        with torch.no_grad():
            for name, (a, b) in self.matrices.items():
                delta = torch.from_numpy(a.astype("float32")) @ torch.from_numpy(b.astype("float32"))
                parameters[name].add_(delta.to(parameters[name]))
            for name, d in self.vectors.items():
                parameters[name].add_(torch.from_numpy(d.astype("float32")).to(parameters[name]))

    def _arrays(self) -> dict[str, Halves]:
        import numpy as np

        arrays = {
            f"{name}.{kind}": array
            for name, pair in self.matrices.items()
            for kind, array in zip("ab", pair, strict=True)
        }
        arrays |= {f"{name}.d": array for name, array in self.vectors.items()}
        # safetensors writes the memory as it lies: a transposed view would come back as another matrix.
        return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def identity_of(base: str, adapter: Adapter | None) -> str:
    """The identity of an encoder with an adapter merged."""
    return base if adapter is None else f"{base}+adapter:{adapter.digest}"
