"""Figures in words: a share in percent with its range, other values with as many places as they bear."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from constitution.evaluating.criterion import Measure, Reliability
from constitution.evaluating.report import Pairing

_SHARE = "share"


class _Ranged(Protocol):
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


def number(value: float, unit: str = _SHARE, *, signed: bool = False) -> str:
    """`12.5%`, `0.043`, `310`; with a sign where it is a difference (of shares in points)."""
    sign = "+" if signed else ""
    if unit == _SHARE:
        return f"{100 * value:{sign}.1f}" + (" points" if signed else "%")
    if abs(value) >= 100:
        return f"{value:{sign},.0f}"
    return f"{value:{sign}.3f}" if abs(value) < 10 else f"{value:{sign}.1f}"


def span(ranged: _Ranged, unit: str = _SHARE, *, signed: bool = False) -> str:
    """`9.1 to 16.8`."""
    low, high = (number(end, unit, signed=signed) for end in (ranged.low, ranged.high))
    return f"{low.removesuffix('%').removesuffix(' points')} to {high.removesuffix('%').removesuffix(' points')}"


def told(measure: Measure) -> str:
    """The value of a measure; of a gap with its sign."""
    return number(measure.value, measure.unit, signed=measure.better == "nearer 0")


def spanned(measure: Measure) -> str:
    """Its range; of a gap with signs."""
    return span(measure, measure.unit, signed=measure.better == "nearer 0")


def change(pairing: Pairing) -> str:
    """What became of a measure, in a word or two."""
    if pairing.better == "nearer 0":
        return "changed" if not pairing.low <= 0 <= pairing.high else "no clear difference"
    return {"better": "better", "worse": "worse", "unclear": "no clear difference"}[pairing.change]


def reliabilities(every: Iterable[Reliability]) -> str:
    """`judge 81.0% of 42, gate 92.9% of 42`, with what they judge where that differs, and who may only be guessing."""
    found = list(every)
    several = len({each.of for each in found}) > 1
    return "; ".join(
        f"{each.by}{f' ({each.of})' if several else ''} {number(each.agreement)} of {each.labels}"
        f"{'' if each.informs else ', not shown to beat guessing'}"
        for each in found
    )


def range_of(measure: Measure) -> tuple[float, float, float]:
    """Where low, value and high of a share stand on a line from 0 to 100."""
    low, value, high = (round(100 * min(max(end, 0.0), 1.0), 2) for end in (measure.low, measure.value, measure.high))
    return low, value, high
