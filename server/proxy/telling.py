"""What a client is told of a decision: headers, and by option an object in the answer. Never a pattern or a text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias

from guard.guard import Guard
from guard.guarding.decision import Decision, kinds_of
from guard.window.choice import rank
from rules.hazards import by_hazard
from rules.schema import Action, Part
from server.proxy.http import Headers
from server.settings import TellSettings

ASKED = "x-wardlaw-tell"
"""Request header; `body` asks for the object."""

Side: TypeAlias = Literal["prompt", "answer"]
"""A half of an exchange: what the client sent, and what the model made of it."""

_SIDES: tuple[Side, ...] = ("prompt", "answer")
_SPOKEN = frozenset({Part.RESPONSE, Part.REASONING, Part.TOOL_CALL})
_WITHHELD: Mapping[str, str] = {
    "en": "The model was not shown these earlier turns, because they break a rule or could not be checked; it read a "
    "note in their place.",
    "zh": "这些较早的内容违反了规则或无法检查，因此没有交给模型；模型读到的是一条说明。",
}


def told_headers(decision: Decision, settings: TellSettings) -> Headers:
    """The `x-wardlaw-*` headers of an answer."""
    if not settings.headers:
        return []
    headers = [
        (b"x-wardlaw-decision", decision.id.encode()),
        (b"x-wardlaw-action", decision.action.value.encode()),
        (b"x-wardlaw-constitution", decision.constitution.encode()),
        (b"x-wardlaw-coverage", _extent(decision)),
    ]
    if decision.rules:
        headers.append((b"x-wardlaw-rules", ",".join(decision.rules).encode()))
    if decision.coverage.degraded:
        headers.append((b"x-wardlaw-degraded", ",".join(decision.coverage.degraded).encode("ascii", "replace")))
    if decision.mode == "shadow":
        headers.append((b"x-wardlaw-mode", b"shadow"))
    return headers


def _extent(decision: Decision) -> bytes:
    """How much was looked at: `degraded` where a detector failed, `partial` where something was left out."""
    coverage = decision.coverage
    if coverage.degraded:
        return b"degraded"
    return b"partial" if coverage.partial or coverage.not_scanned or decision.unscannable else b"whole"


def wants_object(headers: Mapping[str, str], settings: TellSettings) -> bool:
    """Whether the answer is to carry the object `wardlaw`."""
    if settings.body == "asked":
        return headers.get(ASKED, "") == "body"
    return settings.body == "always"


def told_object(decision: Decision, guard: Guard, settings: TellSettings, language: str) -> dict[str, Any]:
    """The object `wardlaw`: what was done, by which rules and where, and how far the detectors saw.

    Args:
        decision: to tell of.
        guard: whose rules it was decided by.
        settings: how much clients are told.
        language: tag of the language that titles, reasons and sentences are in, as far as there are such.
    """
    acting = _acting(decision, guard)
    told: dict[str, Any] = {
        "decision": decision.id,
        "action": decision.action.value,
        "constitution": decision.constitution,
        "where": in_order({side for rule in decision.rules for side in acting.get(rule, ())}),
        "rules": _told_rules(decision.rules, acting, guard, language),
    }
    if decision.amend:
        told["amend"] = "; ".join(kinds_of(decision.amend))
    if decision.withheld:
        told["withheld"] = {"places": list(decision.withheld), "note": withheld_note(language)}
    if decision.mode == "shadow":
        told["mode"] = "shadow"
        told["would"] = decision.would.value
        told["would_rules"] = _told_rules(acting, acting, guard, language)
    told["coverage"] = _told_coverage(decision)
    if settings.detail == "finding":
        told["findings"] = [
            {
                "rule": placed.finding.rule,
                "part": placed.finding.part.value,
                "where": placed.where,
                "span": list(placed.finding.span),
                "detector": placed.finding.detector,
                "score": round(placed.finding.score, 4),
                "enforced": placed.enforced,
            }
            for placed in decision.findings
        ]
    return told


def broken_where(found: Iterable[tuple[str, str, str]]) -> dict[str, list[Side]]:
    """In which half of the exchange each rule was found broken.

    Args:
        found: of each finding: the rule, the part, and the place as a decision names it.

    Returns:
        rule -> `prompt`, `answer` or both, in this order.
    """
    sides: dict[str, set[Side]] = {}
    for rule, part, where in found:
        sides.setdefault(rule, set()).add(_side(part, where))
    return {rule: in_order(each) for rule, each in sides.items()}


def withheld_note(language: str) -> str:
    """What is told, in one sentence, where old turns were withheld from the model."""
    return _WITHHELD["zh" if language.partition("-")[0] == "zh" else "en"]


def _acting(decision: Decision, guard: Guard) -> dict[str, list[Side]]:
    """As `broken_where`, the gravest rule first, and without findings that lead to nothing even where enforced."""
    rules = {rule.id: rule for rule in guard.gate.constitution}
    found = [(rank(rules[each.finding.rule].action(each.finding.part)), each) for each in decision.findings]
    found = [each for each in found if each[0] > rank(Action.ALLOW)]
    found.sort(key=lambda each: (-each[0], -each[1].finding.score))
    return broken_where((placed.finding.rule, placed.finding.part, placed.where) for _, placed in found)


def _told_rules(
    ids: Iterable[str], where: Mapping[str, list[Side]], guard: Guard, language: str
) -> list[dict[str, Any]]:
    """Rules with their title, why, hazards and where, in the order given.

    One hazard is told once: of rules of several packs that stand for it the first speaks, the others stand in `also`.
    """
    rules = {rule.id: rule for rule in guard.gate.constitution}
    told = []
    for rule, also in by_hazard((rules[each] for each in ids if each in rules), rules.values()):
        sides = {side for each in (rule, *also) for side in where.get(each.id, ())}
        one = {
            "id": rule.id,
            "title": rule.title.say(language),
            "why": rule.why.say(language),
            "hazards": list(rule.hazards),
            "where": in_order(sides),
        }
        told.append({**one, "also": [each.id for each in also]} if also else one)
    return told


def _told_coverage(decision: Decision) -> dict[str, Any]:
    """The coverage as far as a client can use it; all of it is told of the decision by its id."""
    coverage = decision.coverage
    return {
        "scanned": sorted(name for name, rules in coverage.scanned.items() if rules),
        "not_scanned": len(coverage.not_scanned),
        "degraded": sorted(coverage.degraded),
        "partial": dict(coverage.partial),
        "unscannable": [{"where": each.where, "what": each.what} for each in decision.unscannable],
    }


def _side(part: str, where: str) -> Side:
    """The half of the exchange that a finding stands in. A turn of the assistant that a client sends is of the prompt;
    a text that is judged by itself goes by the part it is judged as."""
    if where.startswith("choices["):
        return "answer"
    if where.startswith("messages["):
        return "prompt"
    return "answer" if part in _SPOKEN else "prompt"


def in_order(sides: set[Side]) -> list[Side]:
    return [side for side in _SIDES if side in sides]
