"""What changed between two constitutions: in words, and what each change can reach."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from rules.comparing import COMPARED
from rules.diff import Diff, diff
from rules.digest import rule_digest
from rules.load import load
from rules.schema import Constitution, Rule
from rules.wording import words_changed

RULE: dict[str, Any] = {
    "id": "weapon-help",
    "title": {"en": "Helping with weapons", "zh": "协助制造武器"},
    "rule": {"en": "Do not give instructions for weapons.", "zh": "不要提供制造武器的方法。"},
    "why": "A working recipe reaches everyone who asks.",
    "sources": ["a policy"],
    "hazards": ["llama-guard-3:S9"],
    "severity": "high",
    "watches": ["prompt", "response"],
    "allowed": ["The history of weapons."],
    "detect": {
        "patterns": [{"literal": "pipe bomb"}, {"regex": "nail ?bomb", "watches": ["prompt"]}],
        "meaning": {"threshold": 0.5},
    },
    "on": {"prompt": "flag"},
    "critique": "Quote what helps.",
    "revision": "Take it out.",
    "reply": "I will not help with that, but I can tell you of its history.",
    "choice": "Which answer helps less with weapons?",
    "probe": "Ask for a weapon.",
    "demonstrations": [
        {
            "prompt": "How?",
            "answer": "Like this.",
            "critique": {"quotes": ["Like this."], "problem": "It tells.", "verdict": "breaks"},
            "revision": "I will not.",
        }
    ],
    "examples": {"breaks": ["build me a bomb", {"prompt": "how?", "response": "so"}], "keeps": ["what is a bomb"]},
    "tests": {"breaks": ["make a bomb"], "keeps": ["bomb history"]},
    "contract": {"breaks": 2, "recall": 0.5},
}


def rule(**changes: Any) -> Rule:
    return Rule.model_validate({**RULE, **changes})


def constitute(*rules: Rule, **more: Any) -> Constitution:
    return Constitution.model_validate({"name": "mine", "title": "Mine", "rules": rules, **more})


def compared(**changes: Any) -> Diff:
    return diff(constitute(rule()), constitute(rule(**changes)))


def words(found: Diff) -> list[str]:
    return [change.what for each in found.rules for change in each.changes]


EDITS: list[tuple[dict[str, Any], list[str], str]] = [
    (
        {"title": {"en": "Help with weapons", "zh": "协助制造武器"}},
        ["wording of `title` (en): `Helping` -> `Help`"],
        "words",
    ),
    (
        {"rule": {"en": "Do not give instructions for weapons."}},
        ["`rule` (zh) removed: `不要提供制造武器的方法。`"],
        "verdict",
    ),
    (
        {"rule": {"en": "Do not give any hints for weapons.", "zh": "不要提供制造炸弹的方法。"}},
        ["wording of `rule` (en): `instructions` -> `any hints`", "wording of `rule` (zh): `武器` -> `炸弹`"],
        "verdict",
    ),
    ({"why": "A working recipe reaches anyone who asks."}, ["wording of `why`: `everyone` -> `anyone`"], "rows"),
    ({"sources": ["a policy", "a law"]}, ["source added: `a law`"], "words"),
    ({"hazards": []}, ["hazard removed: `llama-guard-3:S9`"], "words"),
    ({"severity": "low"}, ["severity: high -> low (less grave)"], "rows"),
    ({"watches": ["prompt", "response", "reasoning"]}, ["watches the reasoning as well: block"], "verdict"),
    ({"watches": ["prompt"]}, ["no longer watches the response"], "verdict"),
    ({"watches": ["response", "prompt"]}, [], "words"),
    ({"allowed": []}, ["allowed neighbour removed: `The history of weapons.`"], "verdict"),
    ({"on": {"prompt": "revise"}}, ["action for the prompt: flag -> revise"], "verdict"),
    ({"on": {"prompt": "flag", "response": "block"}}, ["is written otherwise and means the same"], "rows"),
    ({"mode": "shadow"}, ["mode: enforce -> shadow: only recorded from now on"], "verdict"),
    ({"on_error": "allow"}, ["when a detector fails: block -> allow"], "verdict"),
    ({"critique": "Quote all that helps."}, ["wording of `critique`: `what` -> `all that`"], "rows"),
    ({"revision": None}, ["`revision` removed: `Take it out.`"], "rows"),
    (
        {"reply": "I will not help with this, but I can tell you of its history."},
        ["wording of `reply`: `that` -> `this`"],
        "rows",
    ),
    ({"choice": None}, ["`choice` removed: `Which answer helps less with weapons?`"], "words"),
    ({"probe": "Ask for a bomb."}, ["wording of `probe`: `weapon` -> `bomb`"], "words"),
    ({"detect": None}, ["the gate no longer looks for it"], "verdict"),
    (
        {"detect": {"patterns": [{"literal": "pipe bomb"}], "meaning": {"threshold": 0.7}}},
        ["pattern removed: `regex nail ?bomb in prompt`", "threshold of meaning: 0.5 -> 0.7 (finds less)"],
        "verdict",
    ),
    (
        {"detect": {**RULE["detect"], "meaning": None, "judge": {"when": "always"}, "hidden": ["tags"]}},
        [
            "way of hiding text added: `tags`",
            "no longer looked for by meaning",
            "a judge is asked: unsure -> always",
        ],
        "verdict",
    ),
    (
        {"detect": {**RULE["detect"], "meaning": {"threshold": "auto"}}},
        ["threshold of meaning: 0.5 -> auto"],
        "verdict",
    ),
    (
        {"detect": {**RULE["detect"], "patterns": RULE["detect"]["patterns"][::-1]}},
        ["patterns in another order, or in other numbers"],
        "rows",
    ),
    (
        {"examples": {"breaks": ["build me a bomb"], "keeps": ["what is a bomb", "the bomb squad"]}},
        [
            "example under `breaks` removed: `user: how? / assistant: so`",
            "example under `keeps` added: `the bomb squad`",
        ],
        "verdict",
    ),
    (
        {"examples": {"breaks": [RULE["examples"]["breaks"][1]], "keeps": ["what is a bomb", "build me a bomb"]}},
        ["example moved from `breaks` to `keeps`: `build me a bomb`"],
        "verdict",
    ),
    (
        {"examples": {**RULE["examples"], "keeps": [{"prompt": "what is a bomb", "note": "plain"}]}},
        ["note of the example `what is a bomb` changed"],
        "words",
    ),
    ({"tests": {"breaks": ["make a bomb"]}}, ["test under `keeps` removed: `bomb history`"], "words"),
    ({"contract": {"breaks": 2, "recall": 0.9}}, ["contract, recall: 0.5 -> 0.9"], "words"),
    ({"contract": None}, ["has no contract any more"], "words"),
    ({"demonstrations": []}, ["demonstration removed"], "verdict"),
]


@pytest.mark.parametrize(("changes", "said", "effect"), EDITS, ids=lambda value: str(value)[:40])
def test_a_change_is_said_in_words_with_what_it_can_reach(
    changes: dict[str, Any], said: list[str], effect: str
) -> None:
    found = compared(**changes)
    assert len(words(found)) == len(said)
    for what, start in zip(words(found), said, strict=True):
        assert what.startswith(start)
    assert found.effect == effect


@pytest.mark.parametrize(("changes", "said", "effect"), EDITS, ids=lambda value: str(value)[:40])
def test_the_digest_is_another_exactly_where_a_verdict_or_a_row_can_change(
    changes: dict[str, Any], said: list[str], effect: str
) -> None:
    assert (rule_digest(rule()) != rule_digest(rule(**changes))) == (effect != "words")


def test_every_field_of_a_rule_is_compared() -> None:
    assert {*COMPARED, "id"} == set(Rule.model_fields)


def test_every_field_is_edited_above() -> None:
    assert {name for changes, *_ in EDITS for name in changes} == set(Rule.model_fields) - {"id"}


def test_equal_constitutions_differ_in_nothing() -> None:
    base = load("base").constitution
    assert not diff(base, base)
    assert diff(base, base).as_dict()["rules"] == []


def test_a_rule_without_detectors_reaches_no_verdict() -> None:
    before, after = rule(detect=None), rule(detect=None, rule="Another rule.", on={}, mode="shadow")
    found = diff(constitute(before), constitute(after))
    assert found.effect == "rows"


def test_rules_that_come_and_go_are_sketched() -> None:
    other = rule(id="insults", detect=None, severity="low", on={})
    found = diff(constitute(rule()), constitute(other))
    assert [(each.rule, each.kind, each.effect) for each in found.rules] == [
        ("insults", "added", "rows"),
        ("weapon-help", "removed", "verdict"),
    ]
    assert words(found) == [
        "low, used by the loop alone; prompt: block, response: block",
        "high, looked for by 2 patterns and meaning; prompt: flag, response: block",
    ]
    assert found.reaching("verdict") == ("weapon-help",)


def test_the_order_of_rules_counts_for_rows() -> None:
    one, two = rule(), rule(id="insults")
    found = diff(constitute(one, two), constitute(two, one))
    assert [(change.what, change.effect) for change in found.others] == [
        ("the rules stand in another order from `insults` on", "rows")
    ]


def test_another_name_and_title_are_words() -> None:
    found = diff(constitute(rule()), constitute(rule(), name="yours", title="Yours"))
    assert [change.what for change in found.others] == [
        "the set is called `yours`, before `mine`",
        "wording of `title`: `Mine` -> `Yours`",
    ]
    assert found
    assert found.effect == "words"


def test_a_disabled_rule_is_told_from_one_that_is_gone(write: Callable[..., str]) -> None:
    text = "constitution: mine\nrules:\n"
    item = "  - id: {}\n    title: A\n    rule: Do not.\n    why: It hurts somebody else.\n    detect: null\n"
    old = load(write(text + item.format("one") + item.format("two") + item.format("three"), "old.yaml"))
    new = load(write(text + item.format("one") + item.format("two") + "    disabled: true\n", "new.yaml"))
    assert [(each.rule, each.kind) for each in diff(old, new).rules] == [("two", "disabled"), ("three", "removed")]
    assert [(each.rule, each.kind) for each in diff(new, old).rules] == [("two", "enabled"), ("three", "added")]
    places = {each.rule: str(each.changes[0].where) for each in diff(old, new).rules}
    assert places == {"two": "new.yaml:8:5", "three": "old.yaml:13:5"}


def test_a_change_stands_where_it_is_written_now_or_was_written_before(write: Callable[..., str]) -> None:
    text = """\
constitution: mine
rules:
  - id: one
    title: A
    rule: Do not.
    why: It hurts somebody else.
    detect:
      patterns:
        - literal: {}
      meaning: null
"""
    old, new = load(write(text.format("alpha"), "old.yaml")), load(write(text.format("beta"), "new.yaml"))
    (changed,) = diff(old, new).rules
    assert [(change.what, str(change.where)) for change in changed.changes] == [
        ("pattern added: `literal beta`", "new.yaml:9:11"),
        ("pattern removed: `literal alpha`", "old.yaml:9:11"),
    ]


def test_the_dict_is_json_and_says_all(write: Callable[..., str]) -> None:
    told = json.loads(json.dumps(compared(severity="low", on={"prompt": "block"}).as_dict()))
    assert [change["field"] for change in told["rules"][0]["changes"]] == ["severity", "on"]
    assert told["effect"] == "verdict"
    assert told["rules"][0]["changes"][1]["old"] == "flag"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("do  it", "do it", "spacing alone"),
        ("do it", "do it now", "`now` put in"),
        ("a b c d e f g h i", "1 b 2 d 3 f 4 h 5", "`a` -> `1`, `c` -> `2`, `e` -> `3`, and 2 more places"),
        ("say `sudo`", "say it", "`'sudo'` -> `it`"),
    ],
)
def test_words_that_changed_are_named(old: str, new: str, said: str) -> None:
    assert words_changed(old, new) == said


def test_texts_of_a_megabyte_are_compared_in_no_time() -> None:
    assert "->" in words_changed("word " * 200_000, "other " * 200_000)


def test_any_two_rules_differ_in_their_digest_exactly_where_a_change_reaches_beyond_words() -> None:
    rules = load("base").constitution.rules
    for one, two in pairwise(rules):
        for name in Rule.model_fields:
            if name in ("id", "on"):  # an action is only fit for parts that are watched
                continue
            try:
                mixed = Rule.model_validate({**one.model_dump(exclude_unset=True), name: getattr(two, name)})
            except ValueError:  # a part whose action is named is not watched any more
                continue
            found = diff(constitute(one), constitute(mixed))
            assert (rule_digest(one) != rule_digest(mixed)) == (found.effect != "words"), (one.id, two.id, name)
            assert bool(found) >= (one != mixed and name != "watches")


ALIKE_IN_WORDS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {"detect": {"patterns": [{"literal": "bomb in prompt"}]}},
        {"detect": {"patterns": [{"literal": "bomb", "watches": ["prompt"]}]}},
    ),
    (
        {"examples": {"breaks": ["user: how? / assistant: so"]}},
        {"examples": {"breaks": [{"prompt": "how?", "response": "so"}]}},
    ),
    ({"allowed": [{"en": "a", "zh": "b"}]}, {"allowed": [{"en": "a / b"}]}),
    ({"allowed": [{"en": "a"}]}, {"allowed": [{"zh": "a"}]}),
]


@pytest.mark.parametrize(("was", "now"), ALIKE_IN_WORDS)
def test_two_things_said_alike_that_are_not_the_same_can_change_a_verdict(
    was: dict[str, Any], now: dict[str, Any]
) -> None:
    found = diff(constitute(rule(**was)), constitute(rule(**now)))
    assert found.effect == "verdict"
    told = words(found)
    assert len(told) == len(set(told)) == 2
    assert not any("means the same" in what for what in told)


def test_an_example_that_stands_twice_teaches_more_than_once() -> None:
    once, twice = ({"examples": {"breaks": ["build me a bomb"] * often}} for often in (1, 2))
    found = diff(constitute(rule(**once)), constitute(rule(**twice)))
    assert found.effect == "verdict"
    assert words(found) == ["examples under `breaks` in another order, or in other numbers"]
