"""The packs that ship: every rule whole in both languages, every example held against every pattern."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import rules
from rules import load
from rules.schema import Constitution, Example, Rule

PACKS = sorted(path.stem for path in (Path(rules.__file__).parent / "packs").glob("*.yaml"))
BASE = load("base").constitution
LANGUAGES = ("en", "zh")


def every_rule() -> Iterator[object]:
    for pack in PACKS:
        for rule in load(pack).constitution:
            yield pytest.param(rule, id=f"{pack}:{rule.id}")


def every_example(kind: str) -> Iterator[object]:
    for rule in BASE:
        for name in ("examples", "tests"):
            for number, example in enumerate(getattr(getattr(rule, name), kind), 1):
                yield pytest.param(rule, example, id=f"{rule.id}-{name}-{number}")


def test_base_has_at_least_twenty_rules() -> None:
    assert len(BASE) >= 20


@pytest.mark.parametrize("rule", list(every_rule()))
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
    assert all(text.speaks(language) for text in rule.allowed for language in LANGUAGES)
    assert rule.sources
    assert rule.hazards
    assert len(rule.allowed) >= 3


@pytest.mark.parametrize("rule", list(every_rule()))
def test_a_rule_of_a_pack_has_its_examples_tests_and_demonstrations(rule: Rule) -> None:
    assert min(len(rule.examples.breaks), len(rule.examples.keeps)) >= 6
    assert min(len(rule.tests.breaks), len(rule.tests.keeps)) >= 3
    verdicts = {(shot.language, shot.critique.verdict) for shot in rule.demonstrations}
    assert {("en", "breaks"), ("en", "keeps"), ("zh", "breaks")} <= verdicts


@pytest.fixture(scope="module")
def patterns() -> object:
    from guard.gate import Gate

    with Gate.build(BASE, encoder=None) as gate:
        yield gate


@pytest.mark.parametrize(("rule", "example"), list(every_example("keeps")))
def test_no_pattern_of_base_hits_a_near_miss(patterns: object, rule: Rule, example: Example) -> None:
    from guard.exchange import Exchange
    from guard.gate import Gate

    assert isinstance(patterns, Gate)
    assert patterns.judge(Exchange.of_example(example)).broken == ()


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
