"""One coverage out of many: of a prompt's messages and an answer's channels together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from guard.verdict import Coverage

_KEPT = 128
_Known: TypeAlias = tuple[tuple[Coverage, ...], Coverage]


def merge(coverages: Sequence[Coverage]) -> Coverage:
    """What was scanned in any of the parts, and what in none of them.

    A rule that was looked for in one part is not named as not looked for, though it watches no other part; whatever
    failed or was left out in any part is told.
    """
    if not coverages:
        return Coverage()
    scanned: dict[str, dict[str, None]] = {}
    not_scanned: dict[str, str] = {}
    for coverage in coverages:
        for detector, rules in coverage.scanned.items():
            scanned.setdefault(detector, {}).update(dict.fromkeys(rules))
        not_scanned.update({rule: why for rule, why in coverage.not_scanned.items() if rule not in not_scanned})
    seen = {rule for rules in scanned.values() for rule in rules}
    return Coverage(
        {detector: tuple(rules) for detector, rules in scanned.items()},
        {rule: why for rule, why in not_scanned.items() if rule not in seen},
        _joined(coverage.degraded for coverage in coverages),
        _joined(coverage.partial for coverage in coverages),
    )


def _joined(told: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """What is told of each detector; where parts tell different things, all of them."""
    said: dict[str, dict[str, None]] = {}
    for mapping in told:
        for detector, what in mapping.items():
            said.setdefault(detector, {})[what] = None
    return {detector: "; ".join(what) for detector, what in said.items()}


class Merger:
    """Merges coverages and remembers the usual ones: gates share one object among all verdicts of a kind, so that a
    plain request finds its merged coverage by identity."""

    def __init__(self) -> None:
        """One that remembers nothing yet."""
        self._known: dict[tuple[int, ...], _Known] = {}

    def merge(self, coverages: Sequence[Coverage]) -> Coverage:
        """As `merge`."""
        if len(coverages) == 1:
            return coverages[0]
        key = tuple(map(id, coverages))
        known = self._known.get(key)
        # An id says nothing once its object is gone; what is remembered keeps its objects alive.
        if known is not None:
            return known[1]
        merged = merge(coverages)
        if not merged.degraded and not merged.partial and len(coverages) <= 8:  # the others are never met again
            if len(self._known) >= _KEPT:
                self._known.clear()
            self._known[key] = tuple(coverages), merged
        return merged
