"""The folder that heads lie in: its card, its tensors, their digests; never a pickle.

heads.safetensors     a side (`asked`, `answered`): weight (rules, dim), bias (rules,), calibration (4,)
adapter.safetensors   the encoder's low-rank deltas, where the encoder was tuned
static.safetensors    the static tier's heads, where there is one
card.json             data, digests, seeds, figures, promises
also/NAME/            heads for further rules, taught later on the same vectors: no adapter of their own

HeadsError            a folder of heads cannot be used
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from guard.trained.sides import SIDES, Clear, Side
from rules.errors import WardlawError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float32]

FORMAT = 1
AGAIN = "train them again: `wardlaw gate train`"


class HeadsError(WardlawError):
    """A folder of heads cannot be used."""


def read_card(folder: Path) -> dict[str, Any]:
    """The card of a folder whose files are those that it names.

    Raises:
        HeadsError: a file is missing, cut off or of another training, or the format is unknown.
    """
    try:
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise HeadsError(
            f"heads `{folder}`: `card.json` cannot be read: {error}", "give a folder that `wardlaw gate train` wrote"
        ) from error
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        known = card.get("format") if isinstance(card, dict) else None
        raise HeadsError(f"heads `{folder}` have format {known}, not {FORMAT}", AGAIN)
    for name, expected in mapping(card.get("files")).items():
        file = folder / name
        if not file.is_file() or _file_digest(file) != expected:
            raise HeadsError(
                f"heads `{folder}`: `{name}` is missing, cut off or of another training",
                "fetch the folder whole, or train again: `wardlaw gate train`",
            )
    return card


def read_tensors(file: Path) -> dict[str, Floats]:
    """Tensors of a file by name, as float32.

    Raises:
        HeadsError: it cannot be read.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return {name: tensor.astype("float32") for name, tensor in load(file.read_bytes()).items()}
    except (OSError, SafetensorError, ValueError) as error:
        raise HeadsError(
            f"heads `{file}` cannot be read: {error}", "fetch the file again, or train: `wardlaw gate train`"
        ) from error


def read_static(file: Path) -> dict[str, Clear] | None:
    """The static tier's heads by side; None where the file is not there.

    Raises:
        HeadsError: it cannot be read, or is malformed.
    """
    if not file.is_file():
        return None
    tensors = read_tensors(file)
    try:
        return {side: _clear(tensors, side) for side in SIDES if f"{side}.hidden" in tensors}
    except (KeyError, TypeError, ValueError) as error:
        raise HeadsError(f"heads `{file}`: {error} is missing or malformed", AGAIN) from error


def _clear(tensors: Mapping[str, Floats], side: str) -> Clear:
    hidden, bias, out = (tensors[f"{side}.{name}"] for name in ("hidden", "hidden_bias", "out"))
    if hidden.ndim != 2 or bias.shape != hidden.shape[:1] or out.shape != hidden.shape[:1]:
        raise ValueError(f"`{side}`, whose layers {hidden.shape}, {bias.shape} and {out.shape} do not fit,")
    out_bias, below = _floats(tensors[f"{side}.scalars"])
    return Clear(hidden, bias, out, out_bias, below)


def side_of(tensors: Mapping[str, Floats], side: str) -> Side:
    """One side of the tensors.

    Raises:
        KeyError, ValueError: a tensor of it is missing, or has too few numbers.
    """
    slope, offset, threshold, unsure = _floats(tensors[f"{side}.calibration"])
    other = _other(tensors, side)
    return Side(tensors[f"{side}.weight"], tensors[f"{side}.bias"], slope, offset, threshold, unsure, other)


def _other(tensors: Mapping[str, Floats], side: str) -> tuple[float, float] | None:
    if f"{side}.other" not in tensors:
        return None
    slope, offset = _floats(tensors[f"{side}.other"])
    return slope, offset


def _floats(numbers: Floats) -> list[float]:
    return [float(number) for number in numbers]


def tensors_of(sides: Mapping[str, Side]) -> dict[str, Floats]:
    """What `side_of` reads, of all sides."""
    import numpy as np

    flat = {}
    for name, side in sides.items():
        flat[f"{name}.weight"] = np.ascontiguousarray(side.weight, np.float32)
        flat[f"{name}.bias"] = np.ascontiguousarray(side.bias, np.float32)
        flat[f"{name}.calibration"] = np.array([side.slope, side.offset, side.threshold, side.unsure], np.float32)
        if side.other is not None:
            flat[f"{name}.other"] = np.array(side.other, np.float32)
    return flat


def static_tensors(static: Mapping[str, Clear]) -> dict[str, Floats]:
    """What `read_static` reads."""
    import numpy as np

    flat = {}
    for name, clear in static.items():
        flat[f"{name}.hidden"] = np.ascontiguousarray(clear.hidden, np.float32)
        flat[f"{name}.hidden_bias"] = np.ascontiguousarray(clear.hidden_bias, np.float32)
        flat[f"{name}.out"] = np.ascontiguousarray(clear.out, np.float32)
        flat[f"{name}.scalars"] = np.array([clear.out_bias, clear.below], np.float32)
    return flat


def digests(folder: Path) -> dict[str, str]:
    """Digests of the files but the card, by name."""
    return {file.name: _file_digest(file) for file in sorted(folder.glob("*.safetensors"))}


def _file_digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def digest_of(folder: Path) -> str:
    """One digest of all of them."""
    names = "".join(f"{name}:{digest}" for name, digest in digests(folder).items())
    return hashlib.blake2b(names.encode(), digest_size=8).hexdigest()


def mapping(found: object) -> dict[str, Any]:
    """A part of a card; empty where it is no mapping."""
    return dict(found) if isinstance(found, Mapping) else {}
