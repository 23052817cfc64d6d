"""All about one rule, as a page: docs/rules/ and `wardlaw rules show` print the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rules.hazards import crosswalk
from rules.schema import Action, Example, Rule, Text
from server.pages.allowing import allowing
from server.pages.blocks import Items, Line, Page, Prose, Section, Span, literal, marked

_HEADINGS = {
    "rule": ("The rule", "规则"),
    "why": ("Why", "为什么"),
    "allowed": ("What is fine", "允许的内容"),
    "breaks": ("Examples that break it", "违反规则的例子"),
    "keeps": ("Examples that keep it", "没有违反的近似例子"),
    "tested breaks": ("Tests that break it: never taught, only checked", "用于测试、违反规则的文本（不用于训练）"),
    "tested keeps": ("Tests that keep it", "用于测试、没有违反的文本"),
    "detect": ("What the gate looks for", "检测方式"),
    "on": ("What a finding leads to", "发现违规后的处理"),
    "reply": ("What the user reads", "用户看到的回复"),
    "critique": ("What the critic is asked", "给批评者的指示"),
    "revision": ("What the reviser is asked", "给修改者的指示"),
    "demonstrations": ("Demonstrations of a critique and revision", "批评与修改的示范"),
    "choice": ("What to ask of two answers", "比较两个回答时的问题"),
    "probe": ("What a tester tries", "测试者的任务"),
    "contract": ("What it is held to", "必须达到的指标"),
    "hazards": ("Hazards", "危害代码"),
    "sources": ("Sources", "来源"),
}
_PROSE = ("rule", "why", "allowed", "reply", "critique", "revision", "choice", "probe")
"""Fields that people write in more than one language."""
_LEADS_TO = {
    Action.ALLOW: "nothing is done",
    Action.FLAG: "it goes on, and is marked",
    Action.REDACT: "what was found is taken out",
    Action.REVISE: "another answer is asked for, without the harm",
    Action.RESAMPLE: "the answer is drawn again",
    Action.BLOCK: "the reply stands in its place",
}


def rule_page(rule: Rule, language: str, facts: Iterable[Line] = (), pack: str | None = None) -> Page:
    """The page about a rule.

    Args:
        language: what to show of texts in several languages.
        facts: what is known of it besides, for the line under its title.
        pack: the shipped pack that defines it; None for a rule of somebody's own.
    """
    mode = [literal("only recorded")] if rule.mode == "shadow" else []
    sections = (*_sections(rule, language), allowing(rule, pack, language))
    return Page(rule.id, rule.title.say(language), (literal(rule.severity.value), *mode, *facts), sections)


def prose(rule: Rule, language: str) -> tuple[Section, ...]:
    """What of a rule is written in this very language."""
    found = (_texts(rule, name, language, spoken=True) for name in _PROSE)
    return tuple(section for section in found if section)


def _sections(rule: Rule, language: str) -> Iterator[Section]:
    examples = (
        ("breaks", rule.examples.breaks),
        ("keeps", rule.examples.keeps),
        ("tested breaks", rule.tests.breaks),
        ("tested keeps", rule.tests.keeps),
    )
    shown = [each.prompt if isinstance(each.prompt, str) else each.prompt[-1].content for each in rule.demonstrations]
    listed = {
        **{name: [literal(_example(each)) for each in group] for name, group in examples},
        "detect": list(_detectors(rule)),
        "on": list(_actions(rule)),
        "demonstrations": [literal(each) for each in shown],
        "contract": list(_contract(rule)),
        "hazards": [_hazard(each, language) for each in rule.hazards],
        "sources": [literal(each) for each in rule.sources],
    }
    for name in _HEADINGS:
        lines = listed.get(name)
        found = _texts(rule, name, language) if lines is None else _list(name, lines, language)
        if found:
            yield found


def _heading(name: str, language: str) -> str:
    return _HEADINGS[name][language.partition("-")[0] == "zh"]


def _list(name: str, lines: list[Line], language: str) -> Section | None:
    return Section(_heading(name, language), (Items(tuple(lines)),)) if lines else None


def _texts(rule: Rule, name: str, language: str, *, spoken: bool = False) -> Section | None:
    """A field of prose; with `spoken`, only what is written in the language itself."""
    value: Text | tuple[Text, ...] | None = getattr(rule, name)
    texts = value if isinstance(value, tuple) else (value,)
    lines = [literal(text.say(language)) for text in texts if text and (text.speaks(language) or not spoken)]
    if not lines:
        return None
    if isinstance(value, tuple):
        return _list(name, lines, language)
    return Section(_heading(name, language), (Prose(lines[0]),))


def _detectors(rule: Rule) -> Iterator[Line]:
    if rule.detect is None:
        yield marked("nothing: only the critique-and-revise loop uses this rule")
        return
    for pattern in rule.detect.patterns:
        where = f" in {', '.join(pattern.watches)}" if pattern.watches else ""
        said = pattern.literal or pattern.regex or ""
        yield (Span(f"{'literal' if pattern.literal else 'regex'}{where}: "), Span(said, code=True))
    if rule.detect.hidden:
        yield literal(f"hidden characters: {', '.join(rule.detect.hidden)}")
    if rule.detect.meaning:
        yield literal(f"meaning, threshold {rule.detect.meaning.threshold}")
    yield literal(f"judge, {rule.detect.judge.when}; if a detector cannot answer: {rule.on_error}")


def _actions(rule: Rule) -> Iterator[Line]:
    if rule.detect is None:
        return
    for part in rule.watches:
        action = rule.action(part)
        yield (Span(f"{part}: "), Span(action.value, code=True), Span(f", {_LEADS_TO[action]}"))


def _contract(rule: Rule) -> Iterator[Line]:
    if rule.contract is not None:
        yield literal(f"at least {rule.contract.breaks} texts that break it, and {rule.contract.keeps} that keep it")
        yield literal(f"of the tests, {rule.contract.recall:.0%} of what breaks it is found at least")
        yield literal(f"of the tests, {rule.contract.false_alarms:.0%} of what keeps it is flagged at most")


def _hazard(hazard: str, language: str) -> Line:
    """A hazard with its title, where its system is known."""
    system, _, code = hazard.partition(":")
    known = crosswalk().systems.get(system)
    entry = known.codes.get(code) if known else None
    return (Span(hazard, code=True), Span(f"  {entry.title.say(language)}")) if entry else (Span(hazard, code=True),)


def _example(example: Example) -> str:
    if len(example.messages) == 1:
        return example.text
    return " / ".join(f"{turn.role}: {turn.content}" for turn in example.messages)
