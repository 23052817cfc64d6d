"""A verdict as JSON."""

from __future__ import annotations

import json
from typing import Any

from guard.verdict import Verdict
from rules.hazards import called
from rules.schema import Constitution
from server.cli._json import spelled_out


def as_dict(verdict: Verdict, *, digits: int = 6) -> dict[str, Any]:
    """The whole verdict; scores and milliseconds rounded to `digits`."""
    coverage = verdict.coverage
    return {
        "action": str(verdict.action),
        "broken": list(verdict.broken),
        "score": round(verdict.score, digits),
        "findings": [
            {
                "rule": finding.rule,
                "part": str(finding.part),
                "span": list(finding.span),
                "detector": finding.detector,
                "view": finding.view,
                "score": round(finding.score, digits),
                "threshold": round(finding.threshold, digits),
                "calibrated": finding.calibrated,
                "excerpt": finding.excerpt,
            }
            for finding in verdict.findings
        ],
        "scores": {rule: round(score, digits) for rule, score in verdict.scores.items()},
        "ms": {stage: round(ms, digits) for stage, ms in verdict.ms.items()},
        "coverage": {
            "scanned": {name: list(rules) for name, rules in coverage.scanned.items()},
            "not_scanned": dict(coverage.not_scanned),
            "degraded": dict(coverage.degraded),
            "partial": dict(coverage.partial),
        },
        "constitution": verdict.constitution,
    }


def in_system(verdict: Verdict, constitution: Constitution, system: str) -> dict[str, Any]:
    """What is found, in the codes of a hazard system: all of them, and those of each broken rule."""
    rules = called(constitution, verdict.broken, system)
    named = dict.fromkeys(code for each in rules.values() for code in each)
    return {"system": system, "codes": list(named), "rules": {rule: list(each) for rule, each in rules.items()}}


def dump(value: Any, *, indent: int | None = None) -> str:
    """JSON that can be written as UTF-8 and shown: halves of characters and what a terminal would obey are escaped."""
    return spelled_out(json.dumps(value, ensure_ascii=False, indent=indent))
