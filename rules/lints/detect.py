"""Lints of what the gate looks for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rules.lints import Found, lint
from rules.schema import Rule

if TYPE_CHECKING:
    from rules.check import Company


@lint("warning")
def loop_only(rule: Rule, _: Company) -> Iterator[Found]:
    """The rule has neither examples that break it nor `detect`, so the gate never looks for it."""
    if rule.detect is None and "detect" not in rule.model_fields_set:
        hint = "write what breaks it under `examples: breaks`, or say `detect: null` if that is meant"
        yield (), "has neither `examples` that break it nor `detect`: only the loop uses it", hint


@lint("warning")
def looks_for_nothing(rule: Rule, _: Company) -> Iterator[Found]:
    """`detect` turns the meaning detector off, and names no pattern and no hidden characters to look for instead."""
    detect = rule.detect
    # Without meaning nothing is unsure, so that a judge is asked only if it always is; a hazard is for guard models.
    if detect is None or detect.meaning or detect.judge.when == "always":
        return
    if not (detect.patterns or detect.hidden or rule.hazards):
        hint = "write `patterns`, or leave `meaning: null` out; `detect: null` says that only the loop uses the rule"
        yield ("detect",), "has a `detect` that looks for nothing", hint
