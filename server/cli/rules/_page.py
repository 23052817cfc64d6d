"""All about one rule, as a page for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

import click

from rules.hazards import crosswalk
from rules.schema import Example, Rule, Text
from server.cli.rules._layout import section


def rule_page(rule: Rule, where: str, digest: str, language: str) -> str:
    """The page: what the rule says, how the gate sees it, what it does, and its examples."""
    return "\n".join(_lines(rule, where, digest, language))


def _lines(rule: Rule, where: str, digest: str, language: str) -> Iterator[str]:
    yield click.style(f"{rule.id}  {rule.title.say(language)}", bold=True)
    yield click.style(f"{rule.severity} · {rule.mode} · digest {digest} · {where}", dim=True)
    for heading, text in (("rule", rule.rule), ("why", rule.why)):
        yield from section(heading, [text.say(language)])
    yield from section("allowed", [text.say(language) for text in rule.allowed], "- ")
    acts = [f"{part}: {rule.action(part)}" for part in rule.watches]
    yield from section("watches, and what a finding leads to", [", ".join(acts)])
    yield from section("detectors", _detectors(rule), "- ")
    named: tuple[tuple[str, Text | None], ...] = (
        ("asked of the critic", rule.critique),
        ("asked of the reviser", rule.revision),
        ("reply", rule.reply),
    )
    for heading, said in named:
        yield from section(heading, [said.say(language)] if said else [])
    for name, group in (("examples", rule.examples), ("tests", rule.tests)):
        yield from section(f"{name} that break it", [_example(each) for each in group.breaks], "- ")
        yield from section(f"{name} that keep it", [_example(each) for each in group.keeps], "- ")
    shown = [
        f"{each.prompt if isinstance(each.prompt, str) else each.prompt[-1].content}" for each in rule.demonstrations
    ]
    yield from section("demonstrations of a critique and revision", shown, "- ")
    yield from section("hazards", [_hazard(each, language) for each in rule.hazards], "- ")
    yield from section("sources", list(rule.sources), "- ")


def _detectors(rule: Rule) -> list[str]:
    if rule.detect is None:
        return ["none: only the critique-and-revise loop uses this rule"]
    lines = []
    for pattern in rule.detect.patterns:
        kind = "literal" if pattern.literal else "regex"
        where = f" in {', '.join(pattern.watches)}" if pattern.watches else ""
        lines.append(f"{kind}{where}: {pattern.literal or pattern.regex}")
    if rule.detect.hidden:
        lines.append(f"hidden characters: {', '.join(rule.detect.hidden)}")
    if rule.detect.meaning:
        lines.append(f"meaning, threshold {rule.detect.meaning.threshold}")
    lines.append(f"judge, {rule.detect.judge.when}; if a detector cannot answer: {rule.on_error}")
    return lines


def _hazard(hazard: str, language: str) -> str:
    """A hazard with its title, where its system is known."""
    system, _, code = hazard.partition(":")
    known = crosswalk().systems.get(system)
    entry = known.codes.get(code) if known else None
    return f"{hazard}  {entry.title.say(language)}" if entry else hazard


def _example(example: Example) -> str:
    if len(example.messages) == 1:
        return example.text
    return " / ".join(f"{turn.role}: {turn.content}" for turn in example.messages)
