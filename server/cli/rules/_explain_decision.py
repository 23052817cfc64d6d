"""Why a decision of the audit was made: by what was kept of it, and where its texts were, by the rules as they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from guard.exchange import Exchange
from guard.explaining.patterns import patterns_in
from guard.guarding.post import worse
from rules.actions import Action, Part
from rules.digest import constitution_digest
from rules.loaded import Loaded
from rules.schema import Rule
from server.cli.audit._texts import HOW_TO_KEEP
from server.cli.gate import _options
from server.cli.rules import _explain_json, _explain_text
from server.cli.rules._layout import section

if TYPE_CHECKING:
    from guard.explaining.explanation import Explanation
    from server.audit.query import Found

MOST = 3
"""Texts of a decision that are explained anew."""

HOW_BY_RULES = "to go by rules too, name their files after the id, or the server's settings with `--config`"


@dataclass(frozen=True, slots=True)
class _Again:
    """What can be judged anew."""

    texts: tuple[tuple[str, Exchange], ...]
    """Place of what is judged, and the exchange up to it."""
    why_not: str
    """Why some or all cannot be; empty where all can."""


def explained(
    found: Found, loaded: Loaded, about: Sequence[str], chosen: _options.Chosen, language: str
) -> tuple[dict[str, Any], str]:
    """The explanation, as JSON and as a page.

    Args:
        found: the decision.
        loaded: the rules as they are now.
        about: rules to explain whether or not they were found.
        chosen: the gate that judges anew.
        language: of titles.
    """
    again = _again(found)
    explanations: list[tuple[str, Explanation]] = []
    if again.texts:
        from guard.explaining.explanation import explain

        with _options.build_gate(chosen, loaded.constitution) as gate:
            explanations = [(where, explain(gate, exchange, about)) for where, exchange in again.texts]
    told = {**_as_dict(found, loaded, again), "now": []}
    told["now"] = [{"where": where, **_explain_json.as_dict(why, loaded, language)} for where, why in explanations]
    pages = ["\n".join(_lines(found, loaded, again))]
    for where, why in explanations:
        heading = f"{where}, judged anew" + ("" if _same(found, loaded) else " by the rules as they are now")
        pages.append(f"{click.style(heading, bold=True)}\n{_explain_text.page(why, loaded, language)}")
    return told, "\n\n".join(pages)


def explained_as_kept(found: Found) -> tuple[dict[str, Any], str]:
    """What was kept of a decision and no more, as JSON and as a page: for where nobody says by which rules to go."""
    return {**_as_dict(found, None, None), "now": []}, "\n".join(_lines(found, None, None))


def _same(found: Found, loaded: Loaded | None) -> bool:
    return loaded is not None and constitution_digest(loaded.constitution) == found.digest


def _again(found: Found) -> _Again:
    """The texts of a decision that can be judged anew: those with findings, and the last of the prompt."""
    from server.cli.rules._traffic import HASHED, MASKED, NOT_KEPT, Passed, read_decisions

    passed = Passed()
    rows = [exchange for _, exchange in read_decisions([found], passed)]
    if not rows:
        why = next(iter(passed.unfit), NOT_KEPT)
        return _Again((), f"{why}; {HOW_TO_KEEP}" if why in (NOT_KEPT, HASHED, MASKED) else why)
    prompt, *answers = rows
    places = {each["where"].partition(".")[0] for each in found.findings}
    texts = [
        (f"messages[{at}]", Exchange(prompt.messages[: at + 1]))
        for at in range(len(prompt.messages))
        if f"messages[{at}]" in places or at == len(prompt.messages) - 1
    ]
    texts += [(f"choices[{at}]", answer) for at, answer in enumerate(answers)]
    gone = [place for place in sorted(places) if place not in dict(texts)]
    lost = f"what was judged as {', '.join(gone)} is not among what was kept: other words left in its place"
    # Newest last: of a long conversation it is the last turns that are asked about.
    return _Again(tuple(texts[-MOST:]), lost if gone else "")


def _lines(found: Found, loaded: Loaded | None, again: _Again | None) -> Iterator[str]:
    from datetime import datetime

    from server.cli._printable import printable
    from server.cli.audit.show import beside, coverage

    when = datetime.fromtimestamp(found.at).astimezone().isoformat(" ", "milliseconds")
    yield click.style(f"{printable(found.id)}  {found.action}", bold=True)
    yield click.style(f"{when} · {found.api} · {printable(found.constitution)}, digest {found.digest}", dim=True)
    yield from section("rules", [_digests(found, loaded)])
    rules = _by_id(loaded)
    told = [line for each in found.findings for line in _finding(each, rules, loaded)]
    yield from section("what was found then", told or ["nothing"], "- ")
    yield from section("what followed", list(_follows(found, loaded, rules)), "- ")
    yield from section("candidate beside it", list(beside(found)), "- ")
    yield from section("coverage then", list(coverage(found)), "- ")
    yield from section("stages then", [f"{name}: {ms:.2f} ms" for name, ms in found.ms.items()], "- ")
    yield from section("texts", [again.why_not] if again and again.why_not else [])


def _by_id(loaded: Loaded | None) -> dict[str, Rule]:
    return {} if loaded is None else {rule.id: rule for rule in loaded.constitution}


def _digests(found: Found, loaded: Loaded | None) -> str:
    if loaded is None:
        return f"none were named, so this is what was kept and no more; {HOW_BY_RULES}"
    if _same(found, loaded):
        return "the same as were in force: what they say now is what they said then"
    now = constitution_digest(loaded.constitution)
    return (
        f"others than were in force: it was decided under {found.digest}, and these are {now}. What was found then is"
        " told as it was kept; what these rules make of it stands apart. To go by the rules of then, name their files"
        " after the id"
    )


def _finding(finding: dict[str, Any], rules: dict[str, Rule], loaded: Loaded | None) -> Iterator[str]:
    start, end = finding["span"]
    rule = rules.get(finding["rule"])
    said = f"{finding['rule']} in {finding['where']} ({finding['part']}), characters {start} to {end}"
    said += f", by {finding['detector']}: {finding['score']:.3f} (threshold {finding['threshold']:.3f})"
    said += "" if finding["view"] == "raw" else f", seen as {finding['view']}"
    said += f": “{finding['excerpt']}”" if finding.get("excerpt") else ""
    said += f" ({finding['reason']})" if finding.get("reason") else ""
    yield said
    if loaded is None:
        return
    if rule is None:
        yield "  not among these rules"
    elif finding["detector"] == "patterns" and rule.detect and rule.detect.patterns:
        yield f"  {_pattern(finding, rule, loaded)}"


def _pattern(finding: dict[str, Any], rule: Rule, loaded: Loaded) -> str:
    indexes = _patterns(finding, rule)
    if indexes:
        return "pattern " + " or ".join(_explain_text.pattern_at(rule, index, loaded) for index in indexes)
    where = loaded.locate(rule.id, "detect", "patterns")
    count = len(rule.detect.patterns) if rule.detect else 0
    return f"one of its {count} patterns ({where}): the words were not kept, or it hits no more"


def _patterns(finding: dict[str, Any], rule: Rule) -> tuple[int, ...]:
    """The rule's patterns that hit what was kept of a finding."""
    if rule.detect is not None and len(rule.detect.patterns) == 1:
        return (0,)
    kept = finding.get("excerpt") or ""
    return patterns_in(rule, Part(finding["part"]), kept) if kept else ()


def _follows(found: Found, loaded: Loaded | None, rules: dict[str, Rule]) -> Iterator[str]:
    yield f"done: {found.action}" + (f"; with everything enforced {found.would}" if found.would != found.action else "")
    if found.mode != "enforce":
        yield f"the server only recorded ({found.mode})"
    if found.rules:
        yield f"{found.rules[0]} led"
    if found.amend:
        yield f"not mended: {found.amend}"
    if not _same(found, loaded):
        return
    for rule in dict.fromkeys(each["rule"] for each in found.findings):
        if rule in rules:
            yield f"without {rule}, of what was found: {_without(found, rule, rules)}"


def _without(found: Found, rule: str, rules: dict[str, Rule]) -> Action:
    """What the other findings lead to by themselves."""
    action = Action.ALLOW
    for each in found.findings:
        if each["rule"] != rule and each["rule"] in rules and each["enforced"]:
            action = worse(action, rules[each["rule"]].action(Part(each["part"])))
    return action


def _as_dict(found: Found, loaded: Loaded | None, again: _Again | None) -> dict[str, Any]:
    from server.audit.query import as_json

    rules = _by_id(loaded)
    findings = []
    for each in found.findings:
        rule = rules.get(each["rule"])
        patterns = _patterns(each, rule) if rule and each["detector"] == "patterns" else ()
        places = [str(loaded.locate(rule.id, "detect", "patterns", at)) for at in patterns if loaded and rule]
        findings.append({**each, "known": None if loaded is None else rule is not None, "patterns": places})
    return {
        "decision": as_json(found),
        "same_rules": None if loaded is None else _same(found, loaded),
        "digest_now": None if loaded is None else constitution_digest(loaded.constitution),
        "findings": findings,
        "without": {
            rule: str(_without(found, rule, rules))
            for rule in dict.fromkeys(each["rule"] for each in found.findings)
            if _same(found, loaded)
        },
        "not_judged_anew": HOW_BY_RULES if again is None else again.why_not or None,
    }
