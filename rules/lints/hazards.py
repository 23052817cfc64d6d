"""Lint of the hazards that a rule names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rules.lints import Found, lint
from rules.schema import Rule
from rules.words import did_you_mean, listed, quoted

if TYPE_CHECKING:
    from rules.check import Company


@lint("warning")
def unknown_hazard_code(rule: Rule, _: Company) -> Iterator[Found]:
    """A hazard names a code that its system does not have; a system that is not in the crosswalk may have any."""
    from rules.hazards import crosswalk

    known = crosswalk().systems if rule.hazards else {}
    for index, hazard in enumerate(rule.hazards):
        system, _colon, code = hazard.partition(":")
        if system in known and code not in known[system].codes:
            codes = known[system].codes
            what = f"has the hazard {quoted(hazard)}, and {quoted(system)} has no code {quoted(code)}"
            yield ("hazards", index), what, did_you_mean(code, codes, f"its codes are {listed(codes)}")
