"""The examples and allowed neighbours of a rule that a text is nearest to in meaning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from guard.detectors._taught import SIDE, mean_vectors
from guard.encoders import Encoder
from rules.schema import Part, Rule

Kind = Literal["breaks", "keeps", "allowed"]

_MOST: dict[Kind, int] = {"breaks": 2, "keeps": 2, "allowed": 1}


@dataclass(frozen=True, slots=True)
class Near:
    """One example or neighbour."""

    kind: Kind
    keys: tuple[str | int, ...]
    """Where it stands in the rule, as `("examples", "breaks", 3)`."""
    text: str
    cosine: float
    """From -1 to 1; a similarity, not a probability."""


def nearest(rule: Rule, part: Part, text: str, encoder: Encoder) -> tuple[Near, ...]:
    """The nearest examples that break it, those that keep it, and the nearest neighbour in words; nearest first.

    Args:
        rule: whose examples. Those of the part's side (what is asked, what is answered) count, and all where there
            are none.
        part: of the text.
        text: a window: what fits the encoder's limit.
        encoder: the gate's.
    """
    candidates = list(_candidates(rule, part)) or list(_candidates(rule, None))
    candidates += [
        ("allowed", ("allowed", index) if tag == "und" else ("allowed", index, tag), said)
        for index, allowed in enumerate(rule.allowed)
        for tag, said in allowed.root.items()
    ]
    if not candidates or not text.strip():
        return ()
    vectors = mean_vectors([said for *_, said in candidates], encoder)
    cosines = (vectors @ encoder.encode([text])[0]).tolist()
    told = [Near(kind, keys, said, cosine) for (kind, keys, said), cosine in zip(candidates, cosines, strict=True)]
    told.sort(key=lambda near: -near.cosine)
    return tuple(near for kind, most in _MOST.items() for near in [each for each in told if each.kind == kind][:most])


def _candidates(rule: Rule, part: Part | None) -> Iterator[tuple[Kind, tuple[str | int, ...], str]]:
    kinds: tuple[Kind, Kind] = ("breaks", "keeps")
    for kind in kinds:
        for index, example in enumerate(getattr(rule.examples, kind)):
            if part is None or SIDE[example.part] == SIDE[part]:
                yield kind, ("examples", kind, index), example.text
