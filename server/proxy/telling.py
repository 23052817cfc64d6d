"""What a client is told of a decision: headers, and by option an object in the answer. Never a pattern or a text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from guard.guard import Guard
from guard.guarding.decision import Decision
from server.proxy.http import Headers
from server.settings import TellSettings

ASKED = "x-wardlaw-tell"
"""Request header; `body` asks for the object."""


def told_headers(decision: Decision, settings: TellSettings) -> Headers:
    """The `x-wardlaw-*` headers of an answer."""
    if not settings.headers:
        return []
    headers = [
        (b"x-wardlaw-decision", decision.id.encode()),
        (b"x-wardlaw-action", decision.action.value.encode()),
        (b"x-wardlaw-constitution", decision.constitution.encode()),
    ]
    if decision.rules:
        headers.append((b"x-wardlaw-rules", ",".join(decision.rules).encode()))
    if decision.coverage.degraded:
        headers.append((b"x-wardlaw-degraded", ",".join(decision.coverage.degraded).encode("ascii", "replace")))
    if decision.mode == "shadow":
        headers.append((b"x-wardlaw-mode", b"shadow"))
    return headers


def wants_object(headers: Mapping[str, str], settings: TellSettings) -> bool:
    """Whether the answer is to carry the object `wardlaw`."""
    if settings.body == "asked":
        return headers.get(ASKED, "") == "body"
    return settings.body == "always"


def told_object(decision: Decision, guard: Guard, settings: TellSettings, language: str) -> dict[str, Any]:
    """The object `wardlaw`: the decision, the rules that led to it with their title and why, and the coverage."""
    coverage = decision.coverage
    told: dict[str, Any] = {
        "decision": decision.id,
        "action": decision.action.value,
        "constitution": decision.constitution,
        "rules": [
            {"id": rule.id, "title": rule.title.say(language), "why": rule.why.say(language)}
            for rule in guard.gate.constitution
            if rule.id in decision.rules
        ],
        "coverage": {
            "scanned": {name: list(rules) for name, rules in coverage.scanned.items()},
            "not_scanned": dict(coverage.not_scanned),
            "degraded": sorted(coverage.degraded),
            "partial": dict(coverage.partial),
            "unscannable": [{"where": each.where, "what": each.what} for each in decision.unscannable],
        },
    }
    if decision.mode == "shadow":
        told["mode"] = "shadow"
        told["would"] = decision.would.value
    if settings.detail == "finding":
        told["findings"] = [
            {
                "rule": placed.finding.rule,
                "where": placed.where,
                "span": list(placed.finding.span),
                "detector": placed.finding.detector,
                "score": round(placed.finding.score, 4),
                "enforced": placed.enforced,
            }
            for placed in decision.findings
        ]
    return told
