"""The static tier: tens of microseconds that clear what is plainly harmless, so that the encoder need not see it.

It finds nothing and decides nothing: it only says where no closer look is needed. What it misses is measured when the
heads are made, and stands in their card.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

from guard.detectors._readings import asked_before, in_context, worth_reading
from guard.detectors._taught import SIDE
from guard.detectors.base import NOTHING, Cover, Scan, parts
from guard.exchange import Exchange
from guard.trained.folder import HeadsError
from guard.trained.heads import Heads
from guard.trained.scripts import POORLY_READ, is_other
from guard.trained.sides import ANSWERED, SIDES
from rules.schema import Constitution, Part, Rule

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float32]

WINDOW = 600
"""Characters that are looked at as one. A mean over more would drown one bad sentence in many good ones."""

OVERLAP = 150
"""Characters that windows share, about a sentence."""

_CLEAR = Scan(clear=True)
_CLEAR_BUT = Scan(clear=True, partial=POORLY_READ)


class Static(Protocol):
    """What the tier needs of its encoder."""

    @property
    def identity(self) -> str:
        """What determines its vectors."""

    def encode(self, texts: Sequence[str]) -> Floats:
        """(len(texts), dim) float32."""

    def close(self) -> None:
        """Let go of the table. May be called twice."""


class StaticDetector:
    """Calls texts clear that the heads of the static tier find plainly harmless."""

    name = "static"
    instant = True
    skips_clear = False

    def __init__(self, constitution: Constitution, encoder: Static, heads: Heads) -> None:
        """A detector over ready parts.

        Args:
            constitution: the rules in force.
            encoder: the static encoder that the heads' static tier was taught on; closed with the detector.
            heads: with a static tier.

        Raises:
            HeadsError: the static tier was taught on vectors of another size.
        """
        self._encoder = encoder
        self._heads = heads
        # A text is clear where all that judge it say so.
        self._sides = {
            side: [of.static[side] for of in heads.every if of.static and side in of.static] for side in SIDES
        }
        dim = encoder.encode(["a"]).shape[1]
        for clear in (clear for side in self._sides.values() for clear in side):
            if clear.hidden.shape[1] != dim:
                raise HeadsError(
                    f"static tier was taught on vectors of {clear.hidden.shape[1]} numbers, the encoder gives {dim}",
                    "train the heads again: `wardlaw gate train`",
                )
        self._latin = any(side.other is not None for of in heads.every for side in of.sides.values())
        # What has no head may be broken by a text that all heads find harmless: such parts are never called clear.
        self._blind = frozenset(
            part
            for part in Part
            for rule in constitution
            if part in rule.watches and rule.detect and rule.detect.meaning
            if rule.detect.meaning.threshold != "auto" or not self._sees(rule, SIDE[part])
        )

    @property
    def identity(self) -> str:
        """The encoder and the heads."""
        return f"static/1:{self._encoder.identity}:{self._heads.identity}"

    def covers(self, rule: Rule, part: Part) -> Cover:
        """The rules that have a head, in parts where every rule has one."""
        if rule.detect is None or rule.detect.meaning is None or self._heads.of(rule) is None:
            return Cover(why_not="it has no head for the rule")
        if part in self._blind:
            return Cover(why_not=f"some rule that watches the {part} has no head, or a threshold of its own")
        return Cover(by=self.name)

    def scan(self, exchanges: Sequence[Exchange]) -> list[Scan]:
        """Say of each exchange whether it is clear: every window of every reading of every part."""
        texts: list[str] = []
        owners: list[tuple[int, str]] = []
        unclear: set[int] = set()
        for place, exchange in enumerate(exchanges):
            for part, text in parts(exchange):
                if part in self._blind:
                    unclear.add(place)
                    continue
                side = SIDE[part]
                prompt = asked_before(exchange) if side == ANSWERED else ""
                for view in worth_reading(text):
                    for window in _windows(view.text):
                        texts.append(in_context(prompt, window))
                        owners.append((place, side))
        if texts:
            vectors = self._encoder.encode(texts)
            for side, tiers in self._sides.items():
                rows = [row for row, (_, owner) in enumerate(owners) if owner == side]
                for clear in tiers if rows else ():
                    high = clear.logits(vectors[rows] if len(rows) < len(texts) else vectors) >= clear.below
                    unclear.update(owners[row][0] for row, is_high in zip(rows, high.tolist(), strict=True) if is_high)
        return [
            NOTHING if place in unclear else _CLEAR_BUT if self._reads_poorly(exchange) else _CLEAR
            for place, exchange in enumerate(exchanges)
        ]

    def margin(self, exchange: Exchange) -> float | None:
        """How far the least harmless window of an exchange lies over the border (below 0: it is clear), in logits.

        None where a part is never called clear, whatever it says, or there is nothing to look at.
        """
        highest: float | None = None
        for part, text in parts(exchange):
            if part in self._blind:
                return None
            side = SIDE[part]
            prompt = asked_before(exchange) if side == ANSWERED else ""
            texts = [in_context(prompt, window) for view in worth_reading(text) for window in _windows(view.text)]
            for clear in self._sides[side]:
                over = float((clear.logits(self._encoder.encode(texts)) - clear.below).max())
                highest = over if highest is None else max(highest, over)
        return highest

    def _sees(self, rule: Rule, side: str) -> bool:
        """Whether the heads that judge a rule have a static tier on a side."""
        heads = self._heads.of(rule)
        return heads is not None and heads.static is not None and side in heads.static

    def _reads_poorly(self, exchange: Exchange) -> bool:
        """Whether some of it is in a script that the encoder is weak on: the meaning detector would have said so, and
        is not to look."""
        return self._latin and any(
            is_other(window)
            for part, text in parts(exchange)
            if part not in self._blind and not text.isascii()
            for window in _windows(text)
        )

    def close(self) -> None:
        """Let go of the encoder."""
        self._encoder.close()


def _windows(text: str) -> list[str]:
    if len(text) <= WINDOW:
        return [text]
    return [text[start : start + WINDOW] for start in range(0, len(text) - OVERLAP, WINDOW - OVERLAP)]
