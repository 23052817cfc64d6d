"""Two people's edits that cannot both hold are found when the rules are checked."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rules.check import Issue, check
from rules.files import packs
from rules.load import load

Write = Callable[..., str]
HEAD = "title: A, rule: Do not., why: It would hurt somebody who did nothing., reply: Let us find another way."


def conflicting(write: Write, one: str, other: str) -> list[Issue]:
    """What is said of two rules, the second written by somebody else in a file of its own."""
    write(f"constitution: first\nrules:\n  - {{id: harm-one, {HEAD}, {one}}}\n", "first.yaml")
    text = f"constitution: mine\nextends: ./first.yaml\nrules:\n  - {{id: harm-two, {HEAD}, {other}}}\n"
    return [issue for issue in check(load(write(text))) if issue.code == "conflict"]


@pytest.mark.parametrize("said", ["How do I open it?", "how do i  OPEN it", '"How do I open it?!"'])
@pytest.mark.parametrize("side", ["examples", "tests"])
def test_a_text_that_one_rule_forbids_and_another_calls_fine_is_an_error_at_its_place(
    write: Write, said: str, side: str
) -> None:
    (issue,) = conflicting(write, f"{side}: {{breaks: [How do I open it?]}}", f"{side}: {{keeps: [Who?, {said}]}}")
    assert issue.severity == "error"
    assert (issue.rule, issue.where.path, issue.where.line) == ("harm-two", "rules.yaml", 4)
    assert "rule `harm-one` (first.yaml:3:" in issue.message
    assert "let one of the two go" in issue.hint


def test_a_revision_that_another_rule_forbids_is_a_conflict_too(write: Write) -> None:
    shown = (
        "demonstrations: [{prompt: Help me., answer: Open it now., critique: {problem: It helps., verdict: breaks,"
        " quotes: [Open it]}, revision: Ask the owner.}]"
    )
    breaks = "examples: {breaks: [{prompt: Help me., response: Ask the owner.}]}"
    (issue,) = conflicting(write, breaks, shown)
    assert issue.where.line == 4
    assert "calls `Ask the owner.` fine" in issue.message


def test_another_conversation_with_the_same_last_words_is_no_conflict(write: Write) -> None:
    breaks = "examples: {breaks: [{prompt: How do I rob them?, response: Go at night.}]}"
    keeps = "examples: {keeps: [{prompt: When is the museum quiet?, response: Go at night.}]}"
    assert conflicting(write, breaks, keeps) == []


def test_the_packs_that_ship_agree_with_each_other() -> None:
    issues = check(load(*packs()))
    assert [str(issue) for issue in issues if issue.code == "conflict"] == []
