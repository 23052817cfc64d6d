"""Heads: what training leaves behind. A folder with safetensors beside a card; never a pickle.

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
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from rules.errors import WardlawError
from rules.schema import Constitution, Rule

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float32]

ASKED, ANSWERED = "asked", "answered"
SIDES = (ASKED, ANSWERED)

FORMAT = 1
_AGAIN = "train them again: `wardlaw gate train`"
SHIPPED = Path(__file__).parent / "shipped"


class HeadsError(WardlawError):
    """A folder of heads cannot be used."""


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


@dataclass(frozen=True, eq=False)
class Heads:
    """Trained heads for some rules, one encoder."""

    rules: tuple[str, ...]
    taught: Mapping[str, str]
    """Rule id -> digest of what it was taught by; see `teaching_digest`."""
    encoder: str
    """Digest of the encoder's weights, before the adapter: `Source.weights`."""
    sides: Mapping[str, Side]
    card: Mapping[str, object]
    static: Mapping[str, Clear] | None = None
    adapter: Path | None = None
    """The adapter's file; None where the encoder is as it came."""
    digest: str = ""
    """Of its files but the card; empty for heads that were never saved."""
    also: tuple[Heads, ...] = ()
    """Heads for further rules on the vectors of the same encoder and adapter, each with thresholds of its own."""

    @property
    def every(self) -> tuple[Heads, ...]:
        """These, and those that stand beside them."""
        return (self, *self.also)

    @property
    def identity(self) -> str:
        """The digests of `every`."""
        return "+".join(heads.digest for heads in self.every)

    def of(self, rule: Rule) -> Heads | None:
        """Which of `every` judges a rule: the first that was taught by its words and examples, else by earlier ones.

        A rule that only shares its id with one that was taught says other things: nothing here judges it.
        """
        known = [heads for heads in self.every if rule.id in heads.taught]
        if not known:
            return None
        digest = teaching_digest(rule)
        exact = (heads for heads in known if heads.taught[rule.id] == digest)
        earlier = (heads for heads in known if _alike(rule, _mapping(heads.card.get("words")).get(rule.id)))
        return next(exact, None) or next(earlier, None)

    def within(self, constitution: Constitution) -> Self:
        """The same, without what stands beside them and judges no rule of the constitution."""
        used = {id(self.of(rule)) for rule in constitution}
        return replace(self, also=tuple(heads for heads in self.also if id(heads) in used))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Heads from their folder.

        Raises:
            HeadsError: a file is missing, cut off, or of a format that this version does not know.
        """
        card = _card(folder)
        tensors = _tensors(folder / "heads.safetensors")
        try:
            sides = {side: _side(tensors, side) for side in SIDES if f"{side}.weight" in tensors}
            rules = tuple(str(rule) for rule in card["rules"])
            taught = {str(rule): str(digest) for rule, digest in card["rules"].items()}
            encoder = str(card["encoder"])
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise HeadsError(f"heads `{folder}`: {error} is missing or malformed", _AGAIN) from error
        if not sides:
            raise HeadsError(f"heads `{folder}`: `heads.safetensors` holds no heads", _AGAIN)
        for name, side in sides.items():
            if side.weight.ndim != 2 or len(side.weight) != len(rules) or side.bias.shape != (len(rules),):
                raise HeadsError(
                    f"heads `{folder}`: `{name}` has weights {side.weight.shape} and biases {side.bias.shape} for"
                    f" {len(rules)} rules",
                    f"card and heads do not belong together; {_AGAIN}",
                )
        adapter = folder / "adapter.safetensors"
        also = tuple(cls.load(beside.parent) for beside in sorted(folder.glob("also/*/card.json")))
        for beside in also:
            if beside.encoder != encoder or beside.adapter or beside.also:
                raise HeadsError(
                    f"heads `{folder}`: those of `also/{beside.card.get('name')}` belong to another encoder",
                    "teach them again on these: `wardlaw gate train --onto`",
                )
        return cls(
            rules,
            taught,
            encoder,
            sides,
            card,
            _static(folder / "static.safetensors"),
            adapter if adapter.is_file() else None,
            _digest(folder),
            also,
        )

    def save(self, folder: Path, adapter: Path | None = None) -> None:
        """Write the folder; each file whole or not at all, the card last: without it nothing loads the others.

        Args:
            folder: made where it is not there; heads that lie there are replaced.
            adapter: the adapter's file to copy; its own where this is left out.

        Raises:
            OSError: the folder cannot be written, or the adapter not read; in the second case nothing was touched.
        """
        from safetensors.numpy import save

        source = adapter or self.adapter
        files = {
            "heads.safetensors": save(_flat(self.sides)),
            "adapter.safetensors": None if source is None else source.read_bytes(),
            "static.safetensors": None if self.static is None else save(_flat_static(self.static)),
        }
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "card.json").unlink(missing_ok=True)
        shutil.rmtree(folder / "also", ignore_errors=True)
        for beside in self.also:
            beside.save(folder / "also" / str(beside.card["name"]))
        for name, data in files.items():
            if data is None:  # of the heads that lay here before: it would be taken for a part of these
                (folder / name).unlink(missing_ok=True)
            else:
                _write(folder / name, data)
        card = {
            **self.card,
            "format": FORMAT,
            "encoder": self.encoder,
            "rules": dict(self.taught),
            "files": _files(folder),
        }
        _write(folder / "card.json", (json.dumps(card, ensure_ascii=False, indent=2) + "\n").encode())

    def with_threshold(self, side: str, threshold: float, unsure: float, promise: Mapping[str, object]) -> Heads:
        """The same heads at another threshold, with the promise it carries in the card.

        Args:
            side: `asked` or `answered`.
            threshold: probability from which a text is found broken.
            unsure: probability from which a dearer detector is asked; at most `threshold`.
            promise: budget, rows, observed, bound, traffic.
        """
        sides = {**self.sides, side: replace(self.sides[side], threshold=threshold, unsure=min(unsure, threshold))}
        promises = {**_mapping(self.card.get("promises")), side: dict(promise)}
        # Scores are calibrated in each, so that one threshold serves all of them.
        also = tuple(
            heads.with_threshold(side, threshold, unsure, promise) if side in heads.sides else heads
            for heads in self.also
        )
        return replace(self, sides=sides, card={**self.card, "promises": promises}, also=also)

    def stale(self, constitution: Constitution) -> tuple[str, ...]:
        """Rules whose words or examples are others than those their heads were taught by."""
        judges = ((rule, self.of(rule)) for rule in constitution)
        return tuple(rule.id for rule, heads in judges if heads and heads.taught[rule.id] != teaching_digest(rule))


_SAME = 0.5
"""Share of words in their order that two versions of a rule have in common."""


def words_of(rule: Rule) -> str:
    """What the card says of a rule, to know it again when it has been changed."""
    return " ".join(said for _, said in sorted(rule.rule.root.items()))


def _alike(rule: Rule, taught: object) -> bool:
    """Whether a rule is a version of the one that was taught; cards of an earlier make do not say."""
    if not isinstance(taught, str):
        return True
    from difflib import SequenceMatcher

    now, then = (text.split() if " " in text.strip() else list(text) for text in (words_of(rule), taught))
    return SequenceMatcher(None, now, then, autojunk=False).ratio() >= _SAME


def teaching_digest(rule: Rule) -> str:
    """Digest of what a head is taught by: the rule's words, its allowed neighbours and its examples.

    An action, a threshold, a reply or an example's note may change without making the head stale.
    """
    taught = rule.model_dump(mode="json", include={"rule", "allowed", "examples"})
    for example in (*taught["examples"]["breaks"], *taught["examples"]["keeps"]):
        example["note"] = None  # as where there is none: heads that were taught before notes counted keep their digests
    return hashlib.blake2b(json.dumps(taught, sort_keys=True, ensure_ascii=False).encode(), digest_size=8).hexdigest()


def shipped(constitution: Constitution, folder: Path = SHIPPED) -> Heads | None:
    """The shipped heads that know most of the constitution's rules; None where none knows any.

    Raises:
        HeadsError: they cannot be read.
    """
    best: tuple[int, Heads] | None = None
    for card in sorted(folder.glob("*/card.json")):
        heads = Heads.load(card.parent)
        known = sum(heads.of(rule) is not None for rule in constitution)
        if known and (best is None or known > best[0]):
            best = known, heads
    return best[1].within(constitution) if best else None


def _card(folder: Path) -> dict[str, Any]:
    try:
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise HeadsError(
            f"heads `{folder}`: `card.json` cannot be read: {error}", "give a folder that `wardlaw gate train` wrote"
        ) from error
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        known = card.get("format") if isinstance(card, dict) else None
        raise HeadsError(
            f"heads `{folder}` have format {known}, not {FORMAT}", "train them again: `wardlaw gate train`"
        )
    for name, expected in _mapping(card.get("files")).items():
        file = folder / name
        if not file.is_file() or _file_digest(file) != expected:
            raise HeadsError(
                f"heads `{folder}`: `{name}` is missing, cut off or of another training",
                "fetch the folder whole, or train again: `wardlaw gate train`",
            )
    return card


def _tensors(file: Path) -> dict[str, Floats]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return {name: tensor.astype("float32") for name, tensor in load(file.read_bytes()).items()}
    except (OSError, SafetensorError, ValueError) as error:
        raise HeadsError(
            f"heads `{file}` cannot be read: {error}", "fetch the file again, or train: `wardlaw gate train`"
        ) from error


def _static(file: Path) -> dict[str, Clear] | None:
    if not file.is_file():
        return None
    tensors = _tensors(file)
    try:
        return {side: _clear(tensors, side) for side in SIDES if f"{side}.hidden" in tensors}
    except (KeyError, TypeError, ValueError) as error:
        raise HeadsError(f"heads `{file}`: {error} is missing or malformed", _AGAIN) from error


def _clear(tensors: Mapping[str, Floats], side: str) -> Clear:
    hidden, bias, out = (tensors[f"{side}.{name}"] for name in ("hidden", "hidden_bias", "out"))
    if hidden.ndim != 2 or bias.shape != hidden.shape[:1] or out.shape != hidden.shape[:1]:
        raise ValueError(f"`{side}`, whose layers {hidden.shape}, {bias.shape} and {out.shape} do not fit,")
    out_bias, below = _floats(tensors[f"{side}.scalars"])
    return Clear(hidden, bias, out, out_bias, below)


def _flat(sides: Mapping[str, Side]) -> dict[str, Floats]:
    import numpy as np

    flat = {}
    for name, side in sides.items():
        flat[f"{name}.weight"] = np.ascontiguousarray(side.weight, np.float32)
        flat[f"{name}.bias"] = np.ascontiguousarray(side.bias, np.float32)
        flat[f"{name}.calibration"] = np.array([side.slope, side.offset, side.threshold, side.unsure], np.float32)
        if side.other is not None:
            flat[f"{name}.other"] = np.array(side.other, np.float32)
    return flat


def _flat_static(static: Mapping[str, Clear]) -> dict[str, Floats]:
    import numpy as np

    flat = {}
    for name, clear in static.items():
        flat[f"{name}.hidden"] = np.ascontiguousarray(clear.hidden, np.float32)
        flat[f"{name}.hidden_bias"] = np.ascontiguousarray(clear.hidden_bias, np.float32)
        flat[f"{name}.out"] = np.ascontiguousarray(clear.out, np.float32)
        flat[f"{name}.scalars"] = np.array([clear.out_bias, clear.below], np.float32)
    return flat


def _side(tensors: Mapping[str, Floats], side: str) -> Side:
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


def _files(folder: Path) -> dict[str, str]:
    return {file.name: _file_digest(file) for file in sorted(folder.glob("*.safetensors"))}


def _file_digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _digest(folder: Path) -> str:
    names = "".join(f"{name}:{digest}" for name, digest in _files(folder).items())
    return hashlib.blake2b(names.encode(), digest_size=8).hexdigest()


def _write(file: Path, data: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".tmp", delete=False) as opened:
        try:
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
        except BaseException:
            Path(opened.name).unlink(missing_ok=True)
            raise
    Path(opened.name).chmod(0o644)
    Path(opened.name).replace(file)


def _mapping(found: object) -> dict[str, Any]:
    return dict(found) if isinstance(found, Mapping) else {}
