"""The packs that ship: every rule whole in both languages, every example held against every pattern."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import rules
from rules import load
from rules.errors import RuleErrors
from rules.schema import Constitution, Example, Part, Rule

PACKS = sorted(
    (path.stem for path in (Path(rules.__file__).parent / "packs").glob("*.yaml")), key=lambda it: it != "base"
)
BASE = load("base").constitution
LANGUAGES = ("en", "zh")


def rules_of(pack: str) -> tuple[Rule, ...]:
    """The rules of a pack; none where it does not load, which a test of its own says."""
    try:
        return load(pack).constitution.rules
    except RuleErrors:
        return ()


def every_rule() -> Iterator[tuple[str, Rule]]:
    """Each rule of each pack, and one that a pack takes over as it is only once."""
    seen: dict[str, list[Rule]] = {}
    for pack in PACKS:
        for rule in rules_of(pack):
            if rule not in seen.setdefault(rule.id, []):
                seen[rule.id].append(rule)
                yield pack, rule


RULES = list(every_rule())
EVERY = [pytest.param(rule, id=f"{pack}:{rule.id}") for pack, rule in RULES]
LOOKED_FOR = [pytest.param(rule, id=f"{pack}:{rule.id}") for pack, rule in RULES if rule.detect is not None]
LOOP_ONLY = [pytest.param(rule, id=f"{pack}:{rule.id}") for pack, rule in RULES if rule.detect is None]


def every_example(kind: str) -> Iterator[object]:
    for pack, rule in RULES:
        for name in ("examples", "tests"):
            for number, example in enumerate(getattr(getattr(rule, name), kind), 1):
                yield pytest.param(rule, example, id=f"{pack}:{rule.id}-{name}-{number}")


def chinese(examples: Sequence[Example]) -> list[Example]:
    """Those in which somebody speaks Chinese; an answer may be a formula all the same."""
    return [each for each in examples if any(re.search(r"[\u3400-\u9fff]", turn.content) for turn in each.messages)]


def test_base_has_at_least_twenty_rules() -> None:
    assert len(BASE) >= 20


@pytest.mark.parametrize("rule", EVERY)
def test_a_rule_of_a_pack_is_whole_in_both_languages(rule: Rule) -> None:
    texts = {
        "title": rule.title, "rule": rule.rule, "why": rule.why,
        "critique": rule.critique, "revision": rule.revision, "reply": rule.reply,
    }  # fmt: skip
    missing = [
        f"{name} in {language}"
        for name, text in texts.items()
        for language in LANGUAGES
        if text is None or not text.speaks(language)
    ]
    assert missing == []
    assert all(text.speaks(language) for text in (rule.choice, rule.probe) if text for language in LANGUAGES)
    assert all(text.speaks(language) for text in rule.allowed for language in LANGUAGES)
    assert rule.sources
    assert rule.hazards
    assert len(rule.allowed) >= 3


@pytest.mark.parametrize("rule", LOOKED_FOR)
def test_a_rule_that_the_gate_looks_for_has_its_examples_tests_and_demonstrations(rule: Rule) -> None:
    for name, group, least in (("examples", rule.examples, 7), ("tests", rule.tests, 4)):
        for side, examples in (("breaks", group.breaks), ("keeps", group.keeps)):
            assert len(examples) >= least, (name, side)
            assert chinese(examples), (name, side)
            # hidden characters are looked for alike in every part; what is meant differs between them
            if name == "examples" and rule.detect and not rule.detect.hidden and Part.RESPONSE in rule.watches:
                assert len([each for each in examples if each.part is Part.RESPONSE]) >= 2, side
    verdicts = {(shot.language, shot.critique.verdict) for shot in rule.demonstrations}
    assert {("en", "breaks"), ("en", "keeps"), ("zh", "breaks")} <= verdicts


@pytest.mark.parametrize("rule", LOOP_ONLY)
def test_a_rule_that_only_the_loop_uses_has_demonstrations_and_chooses_between_answers(rule: Rule) -> None:
    assert rule.choice is not None
    shots = {(shot.language, shot.critique.verdict) for shot in rule.demonstrations}
    assert {("en", "breaks"), ("zh", "breaks")} <= shots


def test_the_pack_of_the_sixteen_principles_has_sixteen_that_the_gate_does_not_look_for() -> None:
    principles = [rule for pack, rule in RULES if pack == "assistant"]
    assert len(principles) == 16
    assert all(rule.detect is None for rule in principles)


@pytest.mark.parametrize("rule", EVERY)
def test_a_critique_quotes_what_the_answer_says(rule: Rule) -> None:
    for shot in rule.demonstrations:
        assert [quote for quote in shot.critique.quotes if quote not in shot.answer] == []


@pytest.fixture(scope="module")
def patterns() -> object:
    from guard.gate import Gate

    with Gate.build(BASE, encoder=None) as gate:
        yield gate


@pytest.fixture(scope="module")
def all_patterns() -> object:
    from guard.gate import Gate

    with Gate.build(load(*PACKS).constitution, encoder=None) as gate:
        yield gate


@pytest.mark.parametrize(("rule", "example"), list(every_example("keeps")))
def test_no_pattern_of_any_pack_hits_a_near_miss(all_patterns: object, rule: Rule, example: Example) -> None:
    from guard.exchange import Exchange
    from guard.gate import Gate

    assert isinstance(all_patterns, Gate)
    assert all_patterns.judge(Exchange.of_example(example)).broken == ()


@pytest.mark.parametrize("pack", PACKS)
def test_a_pack_loads_under_its_own_name(pack: str) -> None:
    constitution = load(pack).constitution
    assert isinstance(constitution, Constitution)
    assert constitution.name == pack


HIDDEN = BASE.rule("hidden-text")


@pytest.mark.parametrize(
    "example",
    [*HIDDEN.examples.breaks, *HIDDEN.tests.breaks],
    ids=range(1, 1 + len(HIDDEN.examples.breaks) + len(HIDDEN.tests.breaks)),
)
def test_every_text_that_hides_something_is_found_by_that_alone(patterns: object, example: Example) -> None:
    from guard.exchange import Exchange
    from guard.gate import Gate

    assert isinstance(patterns, Gate)
    verdict = patterns.judge(Exchange.of_example(example))
    assert verdict.broken == ("hidden-text",)
    assert all(finding.view.startswith("hidden:") and finding.excerpt.isprintable() for finding in verdict.findings)
