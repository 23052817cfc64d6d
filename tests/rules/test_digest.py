from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from rules.digest import constitution_digest, rule_digest
from rules.load import load
from rules.schema import Constitution, Rule

BASE: dict[str, Any] = {
    "id": "some-harm",
    "title": {"en": "A rule", "zh": "规则"},
    "rule": "Do not.",
    "why": "It would hurt somebody who did nothing.",
    "detect": {"patterns": [{"literal": "pipe bomb"}]},
    "on": {"prompt": "revise", "response": "block"},
    "reply": {"en": "No.", "zh": "不。"},
    "examples": {"breaks": ["one", "two"], "keeps": ["three"]},
}
DEMONSTRATION = {"prompt": "a", "answer": "b", "critique": {"problem": "c", "verdict": "keeps"}}


def digest(**changes: Any) -> str:
    return rule_digest(Rule.model_validate({**BASE, **changes}))


@pytest.mark.parametrize(
    "changes",
    [
        {"title": "Another"},
        {"sources": ["A paper"]},
        {"hazards": ["llama-guard-3:S9"]},
        {"tests": {"breaks": ["four"]}},
        {"contract": {"breaks": 6}},
        {"probe": "Make it."},
        {"choice": "Which answer is kinder?"},
        {"examples": {"breaks": [{"prompt": "one", "note": "why this one"}, "two"], "keeps": ["three"]}},
        {"reply": {"zh": "不。", "en": "No."}},
        {"on": {"response": "block", "prompt": "revise"}},
        {"watches": ["response", "prompt"]},
        {"severity": "medium"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_changes_no_verdict_and_no_row_leaves_the_digest(changes: dict[str, Any]) -> None:
    assert digest(**changes) == digest()


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "other-harm"},
        {"rule": "Do not ever."},
        {"why": "It would hurt somebody who did a lot."},
        {"severity": "high"},
        {"watches": ["prompt", "response", "reasoning"]},
        {"allowed": ["This."]},
        {"detect": {"patterns": [{"regex": "pipe bomb"}]}},
        {"detect": {**BASE["detect"], "meaning": None}},
        {"detect": {**BASE["detect"], "judge": {"when": "always"}}},
        {"on": {"prompt": "block"}},
        {"critique": "Quote."},
        {"revision": "Rewrite."},
        {"reply": "No."},
        {"demonstrations": [DEMONSTRATION]},
        {"examples": {"breaks": ["one"], "keeps": ["three"]}},
        {"mode": "shadow"},
        {"on_error": "allow"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_can_change_a_verdict_or_a_row_changes_the_digest(changes: dict[str, Any]) -> None:
    assert digest(**changes) != digest()


def test_examples_alone_are_looked_for_as_with_an_empty_detect() -> None:
    alone = {key: value for key, value in BASE.items() if key != "detect"}
    assert rule_digest(Rule.model_validate(alone)) == digest(detect={}) != digest(detect=None)


def test_a_null_counts_the_same_whether_it_was_written_or_not() -> None:
    alone = {key: value for key, value in BASE.items() if key not in ("detect", "examples")}
    assert rule_digest(Rule.model_validate(alone)) == digest(detect=None, examples={})


@pytest.mark.parametrize("detect", [{}, None])
def test_a_rule_that_is_dumped_without_defaults_comes_back_the_same(detect: Any) -> None:
    rule = Rule.model_validate({**BASE, "detect": detect})
    again = Rule.model_validate(rule.model_dump(mode="json", exclude_defaults=True))
    assert (again, rule_digest(again)) == (rule, rule_digest(rule))


def test_every_field_of_a_rule_is_covered_by_one_of_the_two_lists() -> None:
    assert set(Rule.model_fields) == {
        *("title", "sources", "hazards", "tests", "contract", "probe", "choice"),
        *("id", "rule", "why", "severity", "watches", "allowed", "detect", "on", "critique", "revision", "reply"),
        *("demonstrations", "examples", "mode", "on_error"),
    }


def test_a_digest_is_short_hex_and_the_same_in_every_process() -> None:
    assert digest() == "858feb69baa27402"
    assert re.fullmatch("[0-9a-f]{16}", digest())


def test_the_order_and_the_absence_of_a_rule_change_a_constitution() -> None:
    one, two = (Rule.model_validate({**BASE, "id": name}) for name in ("one-harm", "two-harm"))
    digests = {
        constitution_digest(Constitution.model_validate({"name": "mine", "title": "x", "rules": rules}))
        for rules in ((one, two), (two, one), (one,))
    }
    assert len(digests) == 3


def test_the_name_and_the_way_a_constitution_was_put_together_do_not_count(write: Callable[..., str]) -> None:
    rule = "  - id: some-harm\n    title: A\n    rule: Do not.\n    why: It would hurt somebody who did nothing.\n"
    whole = load(write(f"constitution: whole\nrules:\n{rule}    severity: high\n", "whole.yaml"))
    write(f"# a comment\nconstitution: first\nrules:\n{rule}", "first.yaml")
    changed = "constitution: mine\nextends: ./first.yaml\nrules:\n  - {severity: high, id: some-harm}\n"
    parts = load(write(changed))
    assert constitution_digest(parts.constitution) == constitution_digest(whole.constitution)
