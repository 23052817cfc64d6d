"""The pack `sparrow`: the table at its top is true, and every rule says how to probe it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import rules
from rules import load
from rules.schema import Rule

FILE = Path(rules.__file__).parent / "packs" / "sparrow.yaml"
PACK = load("sparrow").constitution
BASE = {rule.id for rule in load("base").constitution}


def table() -> dict[str, list[str]]:
    """Topic -> rule ids, `*` kept, as the comment at the top of the pack has them."""
    comment = [line[2:] for line in FILE.read_text(encoding="utf-8").split("\nconstitution:")[0].splitlines()]
    start = next(number for number, line in enumerate(comment) if line.startswith("Topic"))
    topics: dict[str, list[str]] = {}
    for line in comment[start + 1 :]:
        if not line.strip():
            break
        topic, ids = line[:31].strip(), re.findall(r"[a-z-]+(?: \*)?", line[31:])
        topics.setdefault(topic or list(topics)[-1], []).extend(ids)
    return topics


TABLE = table()


@pytest.mark.parametrize("topic", TABLE)
def test_a_topic_of_the_table_is_covered_by_a_rule_that_names_sparrow(topic: str) -> None:
    found = [PACK.rule(name.removesuffix(" *")) for name in TABLE[topic]]
    assert any("Sparrow" in source for rule in found for source in rule.sources)


def test_the_table_lists_every_rule_and_marks_those_taken_from_base() -> None:
    listed = {name for names in TABLE.values() for name in names}
    assert listed == {f"{rule.id} *" if rule.id in BASE else rule.id for rule in PACK}


@pytest.mark.parametrize("rule", list(PACK), ids=[rule.id for rule in PACK])
def test_every_rule_says_in_both_languages_how_to_probe_it(rule: Rule) -> None:
    assert rule.probe is not None
    assert rule.probe.speaks("en")
    assert rule.probe.speaks("zh")


def test_probes_are_not_shared_between_rules() -> None:
    probes = [str(rule.probe) for rule in PACK]
    assert len(set(probes)) == len(probes)
