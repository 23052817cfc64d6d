"""Why a text is judged so, as a page for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

import click

from guard.cascade import CLEAR, DECIDED
from guard.detectors.base import excerpt, parts
from guard.explaining.advice import WORTH_LOWERING
from guard.explaining.nearest import Near
from guard.explaining.otherwise import Carrier, Otherwise
from guard.explaining.patterns import NearMiss
from guard.explaining.seen import Explanation, Found, Meant, RuleSeen, StageSeen
from rules.loaded import Loaded
from rules.schema import Action, Rule
from server.cli._printable import printable
from server.cli._summary import counted
from server.cli.rules._explain_rule import looks
from server.cli.rules._layout import section

MOST = 12
"""Findings and views that are shown."""
_TEXT = 240
_EXAMPLE = 110
_STEPS = {
    "folded": "lookalike letters, accents and invisible characters made plain",
    "collapsed": "spaces between letters, digits for letters and drawn-out letters put back into words",
    "rot13": "letters turned round by 13",
    "reversed": "read backwards",
    "tags": "Unicode tag characters read",
    "selectors": "variation selectors read",
    "bidi": "direction overrides followed",
    "zero": "zero-width characters read",
    "url": "percent signs read",
    "html": "HTML entities read",
    "escapes": "backslash escapes read",
    "quoted": "quoted-printable read",
    "numbers": "character numbers read",
}


def page(explanation: Explanation, loaded: Loaded, language: str) -> str:
    """The page: the verdict, each stage, the findings, and each rule that was looked at closely."""
    return "\n".join(_lines(explanation, loaded, language))


def _lines(why: Explanation, loaded: Loaded, language: str) -> Iterator[str]:
    verdict = why.verdict
    found = ", ".join(verdict.broken[:5]) + (f" and {len(verdict.broken) - 5} more" if len(verdict.broken) > 5 else "")
    head = f"{verdict.action}  " + (f"breaks {found}" if found else "no rule is found broken")
    yield click.style(head, bold=True, fg="red" if verdict.action is not Action.ALLOW else "green")
    yield click.style(f"{loaded.constitution.name}, digest {verdict.constitution}", dim=True)
    for part, text in parts(why.exchange):
        yield from section(f"{part}, {counted(len(text), 'character')}", [excerpt(text, (0, len(text)), _TEXT)])
    yield from section("readings", list(_views(why)), "- ")
    yield from section("stages", [_stage(each, why) for each in why.stages], "- ")
    yield from section("coverage", list(_coverage(why)), "- ")
    yield from section("joined turns", list(_turns(why)), "- ")
    yield from section("findings", list(_findings(why, loaded)), "- ")
    yield from section("what follows", list(_follows(why, loaded)), "- ")
    for each in why.rules:
        yield from _rule(each, loaded, language)


def _views(why: Explanation) -> Iterator[str]:
    for view in why.views[:MOST]:
        if view.name != "raw":
            yield f"{view.part} as {view.name} ({_steps(view.name)}): {view.shows}"
    if len(why.views) > MOST:
        yield f"and {len(why.views) - MOST} more"
    if all(view.name == "raw" for view in why.views):
        yield "the text as it stands: nothing in it is hidden, encoded or disguised"
    if why.capped:
        yield "the text is encoded deeper, or in more ways, than is looked into"


def _steps(name: str) -> str:
    steps = [step.partition("-")[0] for step in name.split(">")]
    return ", then ".join(_STEPS.get(step, f"{step} decoded") for step in steps)


def _stage(stage: StageSeen, why: Explanation) -> str:
    said = "found nothing"
    if stage.failed:
        said = f"failed: {stage.failed}"
    elif stage.findings:
        said = counted(stage.findings, "finding")
    elif stage.stage == "static":
        said = _static(stage)
    if stage.windows is not None:
        closer = f", of which {why.looked_at} were looked at again" if why.looked_at < stage.windows else ""
        said += f" in {counted(stage.windows, 'window')} of all readings{closer}"
    if not stage.needless:
        spent = "" if stage.ms is None else f" ({stage.ms:.2f} ms)"
        return f"{stage.stage}{spent}: {said}"
    reason = {CLEAR: "the static tier cleared the text", DECIDED: "it was already blocked"}.get(
        stage.needless, stage.needless
    )
    return f"{stage.stage}: did not look, {reason}" + (f"; by itself: {said}" if stage.windows is not None else "")


def _static(stage: StageSeen) -> str:
    if stage.margin is None:
        return "never clears these parts: a rule that watches them has no head, or a threshold of its own"
    side = "under" if stage.margin < 0 else "over"
    told = "plainly harmless, cleared" if stage.clear else "not plainly harmless"
    return f"{told}: the least harmless window lies {abs(stage.margin):.2f} {side} its border (in logits)"


def _coverage(why: Explanation) -> Iterator[str]:
    coverage = why.verdict.coverage
    for name, told in (("failed", coverage.degraded), ("left something out", coverage.partial)):
        for detector, what in told.items():
            yield f"{detector} {name}: {what}"


def _turns(why: Explanation) -> Iterator[str]:
    turns = why.turns
    if turns is None:
        return
    if turns.texts:
        earlier = ", ".join(f"“{excerpt(text, (0, len(text)), _EXAMPLE)}”" for text in turns.texts)
        yield f"looked at together with {counted(len(turns.texts), 'earlier turn')} of the user: {earlier}"
        only = ", ".join(turns.found)
        yield f"only together they break {only}" if only else "together they break no more than the last one alone"
    if turns.left_out:
        yield f"{counted(turns.left_out, 'earlier turn')} broke a rule when it came, and is not joined again"


def _findings(why: Explanation, loaded: Loaded) -> Iterator[str]:
    rules = {rule.id: rule for rule in loaded.constitution}
    for each in why.findings[:MOST]:
        finding = each.finding
        said = f"{finding.rule} in the {finding.part}, characters {finding.span[0]} to {finding.span[1]}"
        said += f", by {finding.detector}"
        said += f": {finding.score:.3f} (threshold {finding.threshold:.3f})" if finding.detector != "patterns" else ""
        said += "" if finding.view == "raw" else f", seen as {finding.view}"
        if each.pattern is not None:
            said += f"; pattern {pattern_at(rules[finding.rule], each.pattern, loaded)}"
        said += f": “{finding.excerpt}”" if finding.excerpt else ""
        yield said + (f" ({finding.reason})" if finding.reason else "")
    if len(why.findings) > MOST:
        yield f"and {len(why.findings) - MOST} more"


def pattern_at(rule: Rule, index: int, loaded: Loaded) -> str:
    """A pattern with its place."""
    pattern = rule.detect.patterns[index] if rule.detect else None
    said = (pattern.literal or pattern.regex or "") if pattern else ""
    return f"`{said}` ({loaded.locate(rule.id, 'detect', 'patterns', index)})"


def _follows(why: Explanation, loaded: Loaded) -> Iterator[str]:
    told: dict[str, None] = {}
    for each in why.findings:
        told.setdefault(_ruling(each, loaded))
    yield from told
    for detector in why.verdict.coverage.degraded:
        yield f"{detector} failed: rules it looks for with `on_error: block` block"
    if why.lead:
        yield f"{why.lead} leads: the gravest action first, then the highest score"
    if why.unsure:
        asked = "a judge was asked" if _has_asked(why) else "a judge would be asked, if there were one"
        yield f"unsure, {asked}: {', '.join(why.unsure[:MOST])}"
    yield f"together: {why.verdict.action}"


def _has_asked(why: Explanation) -> bool:
    return any(stage.stage in ("judge", "classifier") and not stage.needless for stage in why.stages)


def _ruling(each: Found, loaded: Loaded) -> str:
    rule, part = each.finding.rule, each.finding.part
    where = loaded.origin(rule, "on")
    by = f"`on`: {where}" if where.kind == "written" and part in loaded.constitution.rule(rule).on else "the default"
    if each.action is each.by_rule:
        return f"{rule} in the {part}: {each.action} ({by})"
    mode = loaded.origin(rule, "mode")
    return f"{rule} in the {part}: {each.by_rule} ({by}), only recorded, for its mode is shadow ({mode})"


def _rule(seen: RuleSeen, loaded: Loaded, language: str) -> Iterator[str]:
    rule = seen.rule
    said = "found broken" if seen.broken else "not found broken"
    yield ""
    yield click.style(f"{rule.id}  {printable(rule.title.say(language))}: {said}", bold=True)
    if not seen.looking and not seen.broken:
        yield from section("who looks for it", ["nobody: it does not watch what is judged here"], "- ")
    elif not seen.broken:
        yield from section("who looks for it", list(looks(seen.looking)), "- ")
    if seen.meant is not None:
        yield from section("meaning", list(_meant(seen.meant)), "- ")
        yield from section("nearest by meaning", [_near(rule, each, loaded) for each in seen.meant.nearest], "- ")
    if not seen.broken and rule.detect and rule.detect.patterns and seen.looking:
        missed = [_missed(rule, each, loaded) for each in seen.near]
        yield from section("patterns", missed or ["none hits, and none comes near"], "- ")
    yield from section("what would have had to be otherwise", list(_otherwise(seen, loaded)), "- ")
    heading = "if this is a false alarm" if seen.broken else "what would help, if it breaks the rule"
    helps = [f"{'.'.join(each.keys)} ({loaded.locate(rule.id, *each.keys)}): {each.do}" for each in seen.advice]
    yield from section(heading, helps, "- ")


def _meant(meant: Meant) -> Iterator[str]:
    distance = meant.score - meant.threshold
    reading = meant.window.reading
    line = f"score {meant.score:.3f}, threshold {meant.threshold:.3f}: {abs(distance):.3f} "
    line += "over it" if distance >= 0 else "short of it"
    line += ", in the band in which a judge is asked" if meant.unsure else ""
    yield line + ("" if meant.looked else "; it did not have to look")
    if reading.view != "raw" or reading.span != (0, len(reading.original)):
        yield f"highest in characters {reading.span[0]} to {reading.span[1]} of the {reading.part}, as {reading.view}"
    for each in meant.carried:
        place = f" (characters {each.span[0]} to {each.span[1]})" if each.span else ""
        words = excerpt(each.text, (0, len(each.text)), _EXAMPLE)
        yield f"without “{words}”{place} the score is {each.without:.3f}"
    if not meant.carried and meant.score >= 0.05:
        yield "no single stretch carries it: without any one of them the score is the same"


def _near(rule: Rule, near: Near, loaded: Loaded) -> str:
    kind = {"breaks": "breaks it", "keeps": "keeps it", "allowed": "allowed"}[near.kind]
    text = excerpt(near.text, (0, len(near.text)), _EXAMPLE)
    return f"{near.cosine:.3f} {kind}: “{text}” ({loaded.locate(rule.id, *near.keys)})"


def _missed(rule: Rule, near: NearMiss, loaded: Loaded) -> str:
    told = f"{pattern_at(rule, near.index, loaded)} comes nearest: `{near.there}` is there"
    told += f" (characters {near.span[0]} to {near.span[1]})" if near.span else ""
    return f"{told}, and it lacks {near.lacks if near.lacks.startswith('nothing') else f'`{near.lacks}`'}"


def _otherwise(seen: RuleSeen, loaded: Loaded) -> Iterator[str]:
    if not seen.broken:
        if seen.meant is not None and seen.meant.score >= seen.meant.threshold:
            yield "had meaning looked, it would have found it"
        elif seen.meant is not None:
            short = seen.meant.threshold - seen.meant.score
            low = seen.meant.score >= WORTH_LOWERING
            at_most = f", or the threshold {seen.meant.score:.3f} or less" if low else ""
            yield f"the score would have had to be {short:.3f} higher{at_most}"
        return
    for each in seen.otherwise:
        named = [_carrier(carrier, seen, loaded) for carrier in each.without]
        without = named[0] if len(named) == 1 else "all of them"
        yield f"without {without}: {_outcome(each, seen.rule.id)}"
    if seen.meant is not None and seen.meant.score >= seen.meant.threshold:
        yield f"with a threshold above {seen.meant.score:.3f}, meaning would not find it"


def _carrier(carrier: Carrier, seen: RuleSeen, loaded: Loaded) -> str:
    if carrier.pattern is not None:
        return f"the pattern {pattern_at(seen.rule, carrier.pattern, loaded)}"
    return {
        "patterns": "the hidden characters",
        "meaning": "what meaning finds",
        "joined": "the turns before it",
    }.get(carrier.stage, f"what the {carrier.stage} finds")


def _outcome(otherwise: Otherwise, rule: str) -> str:
    told = [str(otherwise.action), f"{rule} is still found" if rule in otherwise.broken else f"{rule} is not found"]
    others = [each for each in otherwise.broken if each != rule]
    told += [f"{', '.join(others[:3])} {'is' if len(others) == 1 else 'are'}"] if others else []
    unknown = " and the ".join(otherwise.unknown)
    return ", ".join(told) + (f"; what the {unknown} would say is not known" if unknown else "")
