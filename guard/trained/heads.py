"""Heads: what training leaves behind. Their folder is `guard.trained.folder`'s affair."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from guard.trained.folder import (
    AGAIN,
    FORMAT,
    HeadsError,
    digest_of,
    digests,
    mapping,
    read_card,
    read_static,
    read_tensors,
    side_of,
    static_tensors,
    tensors_of,
)
from guard.trained.sides import SIDES, Clear, Side
from guard.trained.teaching import alike, teaching_digest
from guard.whole_file import write
from rules.schema import Constitution, Rule

SHIPPED = Path(__file__).parent / "shipped"


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

        A rule that only shares its id with one that was taught says other things: nothing here judges it. Heads that
        were taught a rule again come before those that knew it.
        """
        known = [heads for heads in self.every if rule.id in heads.taught]
        known.sort(key=lambda heads: rule.id not in _again(heads))
        if not known:
            return None
        digest = teaching_digest(rule)
        exact = (heads for heads in known if heads.taught[rule.id] == digest)
        earlier = (heads for heads in known if alike(rule, mapping(heads.card.get("words")).get(rule.id)))
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
        card = read_card(folder)
        tensors = read_tensors(folder / "heads.safetensors")
        try:
            sides = {side: side_of(tensors, side) for side in SIDES if f"{side}.weight" in tensors}
            rules = tuple(str(rule) for rule in card["rules"])
            taught = {str(rule): str(digest) for rule, digest in card["rules"].items()}
            encoder = str(card["encoder"])
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise HeadsError(f"heads `{folder}`: {error} is missing or malformed", AGAIN) from error
        if not sides:
            raise HeadsError(f"heads `{folder}`: `heads.safetensors` holds no heads", AGAIN)
        for name, side in sides.items():
            if side.weight.ndim != 2 or len(side.weight) != len(rules) or side.bias.shape != (len(rules),):
                raise HeadsError(
                    f"heads `{folder}`: `{name}` has weights {side.weight.shape} and biases {side.bias.shape} for"
                    f" {len(rules)} rules",
                    f"card and heads do not belong together; {AGAIN}",
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
            read_static(folder / "static.safetensors"),
            adapter if adapter.is_file() else None,
            digest_of(folder),
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
            "heads.safetensors": save(tensors_of(self.sides)),
            "adapter.safetensors": None if source is None else source.read_bytes(),
            "static.safetensors": None if self.static is None else save(static_tensors(self.static)),
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
                write(folder / name, data, 0o644)
        card = {
            **self.card,
            "format": FORMAT,
            "encoder": self.encoder,
            "rules": dict(self.taught),
            "files": digests(folder),
        }
        write(folder / "card.json", (json.dumps(card, ensure_ascii=False, indent=2) + "\n").encode(), 0o644)

    def with_threshold(self, side: str, threshold: float, unsure: float, promise: Mapping[str, object]) -> Heads:
        """The same heads at another threshold, with the promise it carries in the card.

        Args:
            side: `asked` or `answered`.
            threshold: probability from which a text is found broken.
            unsure: probability from which a dearer detector is asked; at most `threshold`.
            promise: budget, rows, observed, bound, traffic.
        """
        sides = {**self.sides, side: replace(self.sides[side], threshold=threshold, unsure=min(unsure, threshold))}
        promises = {**mapping(self.card.get("promises")), side: dict(promise)}
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


def _again(heads: Heads) -> list[object]:
    """Rules that these were taught although others knew them."""
    found = heads.card.get("again")
    return found if isinstance(found, list) else []
