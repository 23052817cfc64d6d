"""All about one rule, as a page for the terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

import click

from rules.hazards import crosswalk
from rules.schema import Example, Rule, Text
from server.cli._printable import printable

WIDTH = 96


def rule_page(rule: Rule, where: str, digest: str, language: str) -> str:
    """The page: what the rule says, how the gate sees it, what it does, and its examples."""
    return "\n".join(_lines(rule, where, digest, language))


def _lines(rule: Rule, where: str, digest: str, language: str) -> Iterator[str]:
    yield click.style(f"{rule.id}  {rule.title.say(language)}", bold=True)
    yield click.style(f"{rule.severity} · {rule.mode} · digest {digest} · {where}", dim=True)
    for heading, text in (("rule", rule.rule), ("why", rule.why)):
        yield from _section(heading, [text.say(language)])
    yield from _section("allowed", [text.say(language) for text in rule.allowed], "- ")
    acts = [f"{part}: {rule.action(part)}" for part in rule.watches]
    yield from _section("watches, and what a finding leads to", [", ".join(acts)])
    yield from _section("detectors", _detectors(rule), "- ")
    named: tuple[tuple[str, Text | None], ...] = (
        ("asked of the critic", rule.critique),
        ("asked of the reviser", rule.revision),
        ("reply", rule.reply),
    )
    for heading, said in named:
        yield from _section(heading, [said.say(language)] if said else [])
    for name, group in (("examples", rule.examples), ("tests", rule.tests)):
        yield from _section(f"{name} that break it", [_example(each) for each in group.breaks], "- ")
        yield from _section(f"{name} that keep it", [_example(each) for each in group.keeps], "- ")
    shown = [
        f"{each.prompt if isinstance(each.prompt, str) else each.prompt[-1].content}" for each in rule.demonstrations
    ]
    yield from _section("demonstrations of a critique and revision", shown, "- ")
    yield from _section("hazards", [_hazard(each, language) for each in rule.hazards], "- ")
    yield from _section("sources", list(rule.sources), "- ")


def _section(heading: str, texts: list[str], bullet: str = "") -> Iterator[str]:
    if not texts:
        return
    yield ""
    yield click.style(heading, fg="cyan")
    for text in texts:
        for index, line in enumerate(_wrapped(printable(text), WIDTH - 2 - len(bullet))):
            yield "  " + (bullet if index == 0 else " " * len(bullet)) + line


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


def _wrapped(text: str, width: int) -> Iterator[str]:
    """Lines of at most `width` columns. A Chinese character takes two, and lines may break between any two."""
    for paragraph in text.splitlines() or [""]:
        line, used = "", 0
        for piece in _pieces(paragraph):
            columns = sum(_columns(char) for char in piece)
            if used + columns > width and line.strip():
                yield line.rstrip()
                line, used = "", 0
                piece = piece.lstrip()
                columns = sum(_columns(char) for char in piece)
            line, used = line + piece, used + columns
        yield line.rstrip()


def _pieces(text: str) -> Iterator[str]:
    """Words with the space before them, and single wide characters."""
    word = ""
    for char in text:
        if char == " " or _columns(char) == 2:
            yield word
            word = ""
        word += char
        if _columns(char) == 2:
            yield word
            word = ""
    yield word


def _columns(char: str) -> int:
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
