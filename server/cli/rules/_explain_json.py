"""Why a text is judged so, as JSON."""

from __future__ import annotations

from typing import Any

from guard.explaining.otherwise import Carrier
from guard.explaining.seen import Explanation, Meant, RuleSeen
from rules.loaded import Loaded
from server.cli.gate._projection import as_dict as verdict_as_dict
from server.cli.rules._explain_rule import look_as_dict

_DIGITS = 6


def as_dict(why: Explanation, loaded: Loaded, language: str) -> dict[str, Any]:
    """The whole explanation."""
    verdict = verdict_as_dict(why.verdict)
    for told, each in zip(verdict["findings"], why.findings, strict=True):
        told["pattern"] = _pattern(each.finding.rule, each.pattern, loaded)
        told["action"] = str(each.action)
        told["action_if_enforced"] = str(each.by_rule)
        told["reason"] = each.finding.reason
    return {
        "verdict": verdict,
        "lead": why.lead or None,
        "unsure": list(why.unsure),
        "views": [
            {"part": str(view.part), "name": view.name, "characters": view.characters, "shows": view.shows}
            for view in why.views
        ],
        "views_left_out": why.capped,
        "stages": [
            {
                "stage": stage.stage,
                "looked": not stage.needless,
                "why_not": stage.needless or None,
                "findings": stage.findings,
                "clear": stage.clear,
                "failed": stage.failed or None,
                "ms": None if stage.ms is None else round(stage.ms, _DIGITS),
                "margin": None if stage.margin is None else round(stage.margin, _DIGITS),
                "windows": stage.windows,
            }
            for stage in why.stages
        ],
        "windows_looked_at_again": why.looked_at,
        "turns": None
        if why.turns is None
        else {"texts": list(why.turns.texts), "left_out": why.turns.left_out, "found": list(why.turns.found)},
        "rules": [_rule(each, loaded, language) for each in why.rules],
    }


def _rule(seen: RuleSeen, loaded: Loaded, language: str) -> dict[str, Any]:
    rule = seen.rule
    return {
        "id": rule.id,
        "title": rule.title.say(language),
        "found": seen.broken,
        "asked_about": seen.named,
        "looked_for": [look_as_dict(each) for each in seen.looking],
        "meaning": None if seen.meant is None else _meant(seen.meant, rule.id, loaded),
        "near_patterns": [
            {
                "pattern": _pattern(rule.id, each.index, loaded),
                "there": each.there,
                "lacks": each.lacks,
                "share": round(each.share, _DIGITS),
                "span": None if each.span is None else list(each.span),
            }
            for each in seen.near
        ],
        "otherwise": [
            {
                "without": [_carrier(carrier, loaded) for carrier in each.without],
                "action": str(each.action),
                "broken": list(each.broken),
                "unknown": list(each.unknown),
            }
            for each in seen.otherwise
        ],
        "advice": [
            {"key": ".".join(each.keys), "where": str(loaded.locate(rule.id, *each.keys)), "do": each.do}
            for each in seen.advice
        ],
    }


def _meant(meant: Meant, rule: str, loaded: Loaded) -> dict[str, Any]:
    reading = meant.window.reading
    return {
        "score": round(meant.score, _DIGITS),
        "threshold": round(meant.threshold, _DIGITS),
        "looked": meant.looked,
        "unsure": meant.unsure,
        "part": str(reading.part),
        "view": reading.view,
        "span": list(reading.span),
        "nearest": [
            {
                "kind": each.kind,
                "where": str(loaded.locate(rule, *each.keys)),
                "cosine": round(each.cosine, _DIGITS),
                "text": each.text,
            }
            for each in meant.nearest
        ],
        "carried_by": [
            {
                "text": each.text,
                "span": None if each.span is None else list(each.span),
                "score_without": round(each.without, _DIGITS),
            }
            for each in meant.carried
        ],
    }


def _carrier(carrier: Carrier, loaded: Loaded) -> dict[str, Any]:
    return {"stage": carrier.stage, "pattern": _pattern(carrier.rule, carrier.pattern, loaded)}


def _pattern(rule_id: str, index: int | None, loaded: Loaded) -> dict[str, Any] | None:
    detect = loaded.constitution.rule(rule_id).detect
    if index is None or detect is None:
        return None
    pattern = detect.patterns[index]
    kind = "literal" if pattern.literal is not None else "regex"
    said = pattern.literal if pattern.literal is not None else pattern.regex
    return {kind: said, "where": str(loaded.locate(rule_id, "detect", "patterns", index))}
