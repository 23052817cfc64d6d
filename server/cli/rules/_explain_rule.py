"""All that is technical about one rule: where its fields come from, who looks for it, what it is called elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from guard.detectors._taught import ENOUGH
from guard.explaining.looking import Looking, looking
from rules.actions import Part
from rules.digest import UNCOUNTED, rule_digest
from rules.errors import RuleErrors
from rules.files import packs
from rules.hazards import codes, crosswalk
from rules.load import load
from rules.loaded import Loaded
from rules.schema import Demonstration, Detect, Example, ExampleSet, Rule, Text
from server.cli._printable import printable
from server.cli._summary import counted
from server.cli.rules._layout import section

if TYPE_CHECKING:
    from guard.gate import Gate

_LONG = 70
_HOW = {
    "": "its head",
    "stale": "its head, which was taught by other words or examples: teach it again with `wardlaw gate train`",
    "examples": "nearness to its examples: it has no head",
    "words": "nearness to its own words: it has no head, and fewer than {enough} examples that break it",
}


@dataclass(frozen=True, slots=True)
class Facts:
    """A rule, and what is known of it."""

    rule: Rule
    loaded: Loaded
    looking: tuple[Looking, ...]
    packs: tuple[str, ...]
    """Packs that ship with the project and bring it; empty where none does, or they cannot be read."""


def facts_of(gate: Gate, loaded: Loaded, rule: Rule) -> Facts:
    """What is known of a rule of these files."""
    return Facts(rule, loaded, looking(gate, rule), _packs(rule.id))


def _packs(rule_id: str) -> tuple[str, ...]:
    try:
        everything = load(*packs())
        return tuple(path.stem for path in everything.brought_by(rule_id))
    except (RuleErrors, KeyError):  # a pack that is being edited says nothing of this rule
        return ()


def page(facts: Facts, language: str) -> str:
    """The page for the terminal."""
    return "\n".join(_lines(facts, language))


def as_dict(facts: Facts, language: str) -> dict[str, Any]:
    """The same for JSON."""
    rule = facts.rule
    return {
        "id": rule.id,
        "title": rule.title.say(language),
        "where": str(facts.loaded.locate(rule.id)),
        "digest": rule_digest(rule),
        "digest_leaves_out": list(UNCOUNTED),
        "fields": {
            name: {"value": value, "origin": _origin(facts, name)}
            for name, value in rule.model_dump(mode="json").items()
        },
        "looked_for": [look_as_dict(each) for each in facts.looking],
        "hazards": [
            {"hazard": each, "title": _title(each, language), "elsewhere": _elsewhere(each, language)}
            for each in rule.hazards
        ],
        "contract": None if rule.contract is None else {"asked": rule.contract.model_dump(), "there": _there(rule)},
        "shares_hazards_with": {other.id: shared for other, shared in _sharing(facts)},
        "brought_by": [str(path) for path in _shown(facts.loaded.brought_by(rule.id))],
        "packs": list(facts.packs),
    }


def _origin(facts: Facts, name: str) -> dict[str, Any]:
    origin = facts.loaded.origin(facts.rule.id, name)
    return {
        "kind": origin.kind,
        "where": None if origin.where is None else str(origin.where),
        "instead_of": [str(place) for place in origin.instead_of],
    }


def look_as_dict(look: Looking) -> dict[str, Any]:
    """Whether a detector looks for the rule in a part."""
    told: dict[str, Any] = {"part": str(look.part), "detector": look.detector}
    if not look.by:
        return {**told, "looks": False, "why_not": look.why_not}
    return {
        **told,
        "looks": True,
        "as": look.by,
        "threshold": look.threshold,
        "basis": look.basis or None,
        "promise": None if look.promise is None else dict(look.promise),
        "heads": look.heads or None,
    }


def _lines(facts: Facts, language: str) -> Iterator[str]:
    rule, loaded = facts.rule, facts.loaded
    yield click.style(f"{rule.id}  {printable(rule.title.say(language))}", bold=True)
    yield click.style(f"{rule.severity} · {rule.mode} · {loaded.locate(rule.id)}", dim=True)
    fields = [f"{name}: {_short(rule, name, language)}  [{loaded.origin(rule.id, name)}]" for name in Rule.model_fields]
    yield from section("fields, and where each comes from", fields)
    without = ", ".join(f"`{name}`" for name in UNCOUNTED)
    said = f"{rule_digest(rule)}; a change of {without}, of a note, a comment or the order of keys leaves it as it is"
    yield from section("digest", [said])
    yield from section("who looks for it", list(looks(facts.looking)), "- ")
    yield from section("thresholds", list(_thresholds(facts)), "- ")
    yield from section("hazards", list(_hazards(rule, language)), "- ")
    yield from section("contract", _contract(rule))
    sharing = [f"{other.id}: {', '.join(shared)}" for other, shared in _sharing(facts)]
    yield from section("rules of the same hazards", sharing, "- ")
    names = [str(path) for path in _shown(loaded.brought_by(rule.id))]
    shipped = ", ".join(f"`{name}`" for name in facts.packs) or "none that ships with the project"
    yield from section("brought by", [f"files read here: {', '.join(names)}", f"packs: {shipped}"], "- ")


def _shown(paths: Sequence[Path]) -> list[Path]:
    here = Path.cwd()
    return [path.relative_to(here) if path.is_relative_to(here) else path for path in paths]


def _short(rule: Rule, name: str, language: str) -> str:
    """A field's value on one line."""
    value = getattr(rule, name)
    if value is None:
        return "null"
    if isinstance(value, Text):
        said = f"{_cut(value.say(language))}"
        tags = sorted(set(value.root) - {"und"})
        return f"{said} ({', '.join(tags)})" if tags else said
    if isinstance(value, ExampleSet):
        return f"{len(value.breaks)} that break it, {len(value.keeps)} that keep it"
    if isinstance(value, Detect):
        return _detect(value)
    if name == "on":
        acts = [f"{part}: {rule.action(part)}" for part in rule.watches]
        return ", ".join(acts)
    if name == "contract":
        return ", ".join(f"{key} {number:g}" for key, number in value.model_dump().items())
    if isinstance(value, tuple):
        if value and isinstance(value[0], Text | Demonstration | Example):
            return str(len(value))
        return ", ".join(str(each) for each in value) if value else "none"
    return str(value)


def _detect(detect: Detect) -> str:
    told = [counted(len(detect.patterns), "pattern")]
    told += [f"hidden {', '.join(detect.hidden)}"] if detect.hidden else []
    told += [f"meaning at {detect.meaning.threshold}" if detect.meaning else "no meaning"]
    return ", ".join([*told, f"judge {detect.judge.when}"])


def _cut(text: str) -> str:
    said = " ".join(text.split())
    return said if len(said) <= _LONG else said[: _LONG - 1].rstrip() + "…"


def looks(found: Sequence[Looking]) -> Iterator[str]:
    """Who looks, and who does not and why: a line for the parts of which the same holds."""
    told: dict[str, list[Part]] = {}
    for each in found:
        told.setdefault(_look(each), []).append(each.part)
    for line, parts in told.items():
        yield f"{', '.join(parts)}: {line}"


def _look(look: Looking) -> str:
    if not look.by:
        return f"{look.detector} does not: {look.why_not}" if look.detector else look.why_not
    if look.detector == "static":
        return "static clears what is plainly harmless, and finds nothing itself"
    if look.detector != "meaning":
        return look.detector
    return f"meaning, by {_HOW.get(look.by.partition(':')[2], look.by).format(enough=ENOUGH)}"


def _thresholds(facts: Facts) -> Iterator[str]:
    told: dict[str, list[Part]] = {}
    for each in facts.looking:
        if each.threshold is not None:
            told.setdefault(threshold_of(each, facts), []).append(each.part)
    for line, parts in told.items():
        yield f"{', '.join(parts)}: {line}"


def threshold_of(look: Looking, facts: Facts) -> str:
    """A threshold, and what it rests on."""
    said = f"{look.detector} from {look.threshold:.3f}"
    if look.basis == "rule":
        where = facts.loaded.locate(facts.rule.id, "detect", "meaning", "threshold")
        return f"{said}: fixed by the rule, {where}"
    if look.basis == "border":
        return f"{said}: the border of rules that are judged by their own texts; a score, no probability"
    if look.basis == "setting":
        return f"{said}: a setting of the {look.detector}"
    promise = look.promise
    if not promise:
        return f"{said}: set in the heads {look.heads}, whose card promises nothing"
    traffic = promise.get("traffic", "unknown traffic")
    return (
        f"{said}: the promise in the card of the heads {look.heads}: of harmless texts the whole gate flags at most"
        f" {_percent(promise.get('budget'))}; seen {promise.get('observed')} of {promise.get('rows')}, at most"
        f" {_percent(promise.get('bound'))} at {_percent(promise.get('confidence'))} confidence, on {traffic}"
    )


def _percent(share: Any) -> str:
    return f"{100 * share:.3g}%" if isinstance(share, int | float) else "?"


def _hazards(rule: Rule, language: str) -> Iterator[str]:
    for hazard in rule.hazards:
        title = _title(hazard, language)
        yield f"{hazard}  {title}".rstrip()
    if rule.hazards:
        own = {hazard.partition(":")[0] for hazard in rule.hazards}
        for system in crosswalk().systems:
            found = codes(rule, system) if system not in own else ()
            if found:
                named = ", ".join(f"{code} {_title(f'{system}:{code}', language)}".rstrip() for code in found)
                yield f"called in {system}: {named}"


def _title(hazard: str, language: str) -> str:
    system, _, code = hazard.partition(":")
    known = crosswalk().systems.get(system)
    entry = known.codes.get(code) if known else None
    return entry.title.say(language) if entry else ""


def _elsewhere(hazard: str, language: str) -> list[dict[str, str]]:
    return [
        {"hazard": other, "is": str(exact), "title": _title(other, language)}
        for other, exact in crosswalk().links(hazard).items()
    ]


def _there(rule: Rule) -> dict[str, int]:
    return {kind: len(getattr(rule.examples, kind)) + len(getattr(rule.tests, kind)) for kind in ("breaks", "keeps")}


def _contract(rule: Rule) -> list[str]:
    contract = rule.contract
    if contract is None:
        return ["none: `wardlaw rules test` holds it to nothing"]
    there = _there(rule)
    told = []
    for kind, asked in (("breaks", contract.breaks), ("keeps", contract.keeps)):
        lacks = f": {asked - there[kind]} more are needed" if there[kind] < asked else ""
        told.append(f"{kind}: {asked} asked, {there[kind]} there (examples and tests){lacks}")
    told.append(f"recall {contract.recall:g} or more, false alarms {contract.false_alarms:g} or fewer, on its tests")
    return [*told, f"measure it: `wardlaw rules test --rule {rule.id}`"]


def _sharing(facts: Facts) -> list[tuple[Rule, list[str]]]:
    found = []
    for other in facts.loaded.constitution:
        shared = [hazard for hazard in facts.rule.hazards if hazard in other.hazards]
        if other.id != facts.rule.id and shared:
            found.append((other, shared))
    return found
