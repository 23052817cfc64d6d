"""Contracts: what is asked, what was measured, and which example to add."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from guard.gate import Gate
from guard.trials.advice import by_meaning, by_words
from guard.trials.contract import Breach, breaches
from guard.trials.trial import try_rules

MakeGate = Callable[..., Gate]


def broken(gate: Gate, **more: Any) -> tuple[Breach, ...]:
    return breaches(gate.constitution, try_rules(gate).by_rule, **more)


def rule(contract: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": "kraken-summoning", "contract": contract, "watches": ["prompt"], **fields}


def test_a_rule_that_keeps_its_contract_and_one_without_break_nothing(make_gate: MakeGate) -> None:
    texts = {"breaks": ["kraken one", "kraken two"], "keeps": ["a squid"]}
    kept = rule({"breaks": 2, "keeps": 1, "recall": 1, "false_alarms": 0}, tests=texts)
    free = {"id": "free-rule", "tests": {"breaks": ["nothing to find"], "keeps": ["kraken"]}}
    assert broken(make_gate(kept, free)) == ()


def test_counts_are_of_examples_and_tests_together_and_say_how_many_to_write(make_gate: MakeGate) -> None:
    (breach,) = broken(make_gate(rule({"breaks": 4}, examples={"breaks": ["kraken"]}, tests={"breaks": ["a kraken"]})))
    assert (breach.rule, breach.clause, breach.asked, breach.measured) == ("kraken-summoning", "breaks", 4, 2)
    assert str(breach) == (
        "rule `kraken-summoning` has 2 under `breaks` (examples and tests), and its contract asks for 4"
    )
    assert breach.hints[0] == "write 2 more under `breaks`"


def test_recall_is_measured_over_the_tests_alone_and_names_what_missed_and_why(make_gate: MakeGate) -> None:
    texts = {"breaks": ["a kraken", "Call the beast."], "keeps": []}
    taught = {"breaks": ["kraken 1", "kraken 2", "kraken 3"]}
    (breach,) = broken(make_gate(rule({"recall": 0.9}, examples=taught, tests=texts)))
    assert (breach.clause, breach.asked, breach.measured) == ("recall", 0.9, 0.5)
    assert breach.what == "finds 1 of 2 of its breaking tests (50%), its contract asks for 90%"
    assert "`Call the beast.` (patterns found nothing; the rule turns meaning off)" in breach.hints[0]
    assert broken(make_gate(rule({"recall": 0.5}, examples=taught, tests=texts))) == ()


def test_a_share_that_floating_point_makes_a_hair_too_large_keeps_the_contract(make_gate: MakeGate) -> None:
    texts = {"breaks": [f"kraken {number}" for number in range(11)] + [f"beast {number}" for number in range(9)]}
    assert broken(make_gate(rule({"recall": 0.55}, tests=texts))) == ()


def test_false_alarms_name_what_was_flagged_and_by_which_stage(make_gate: MakeGate) -> None:
    texts = {"keeps": ["What does a kraken eat?", "a squid"]}
    (breach,) = broken(make_gate(rule({"false_alarms": 0.05}, tests=texts)))
    assert (breach.clause, breach.measured) == ("false_alarms", 0.5)
    assert breach.what == "finds 1 of 2 of its near-miss tests (50%), its contract allows 5%"
    assert "`What does a kraken eat?` (by patterns)" in breach.hints[0]


def test_a_contract_without_tests_is_a_breach_that_says_so(make_gate: MakeGate) -> None:
    recall, alarms = broken(make_gate(rule({"recall": 0.9, "false_alarms": 0.1}, examples={"breaks": ["kraken"]})))
    assert recall.what == "has no tests under `tests: breaks`, and its contract asks for a recall of 90% on them"
    assert alarms.what == "has no tests under `tests: keeps`, and its contract allows 10% of them to be found"
    assert recall.measured is alarms.measured is None


def test_a_contract_asks_no_recall_of_a_rule_that_the_gate_does_not_look_for(make_gate: MakeGate) -> None:
    silent = rule({"recall": 0.9, "false_alarms": 0}, detect=None, tests={"breaks": ["kraken"], "keeps": ["kraken?"]})
    (breach,) = broken(make_gate(silent))
    assert "`detect: null`" in breach.what
    assert breach.hints == ("write `contract: {recall: 0}`, or say how it is found under `detect`",)


def test_hints_name_the_part_the_language_and_the_neighbour_that_no_example_shows(make_gate: MakeGate) -> None:
    made = rule(
        {"breaks": 9, "keeps": 9},
        watches=["prompt", "response", "tool_result"],
        rule={"en": "Do not summon it.", "zh": "不要召唤它。"},
        allowed=["Fishing rights in coastal waters.", "Old sailors' songs about monsters of the sea."],
        examples={
            "breaks": ["Summon the kraken.", {"prompt": "how?", "response": "Sing to the kraken."}],
            "keeps": ["Which songs did old sailors sing about sea monsters?", "海怪的故事是从哪里来的？"],
        },
    )
    breaks, keeps = broken(make_gate(made))
    assert breaks.hints[1:] == (
        "none of its examples under `breaks` is a tool_result, which it watches: write one of each",
        "none of its examples under `breaks` is in `zh`, which the rule speaks: write one of each",
    )
    assert keeps.hints[1:] == (
        "none of its examples under `keeps` is a response or a tool_result, which it watches: write one of each",
        "no near miss resembles what it allows, `Fishing rights in coastal waters.`: write one",
    )


def test_only_the_rules_asked_for_are_held_to_their_contracts(make_gate: MakeGate) -> None:
    gate = make_gate(rule({"breaks": 1}), rule({"breaks": 1}) | {"id": "other-rule"})
    assert [breach.rule for breach in broken(gate, only=["other-rule"])] == ["other-rule"]


def test_words_resemble_by_stems_and_by_pairs_of_han_characters() -> None:
    keeps = ["Which laws protect tenants from eviction?", "怎样举报网络诈骗？"]
    assert by_words(["Law that protects tenants", "网络诈骗的历史", "Cooking pasta"], keeps) == [True, True, False]


def test_meaning_finds_near_misses_for_neighbours_that_words_do_not(encoder: Any) -> None:
    neighbours, keeps = ["Help for smokers who want to stop.", "Recipes for bread."], ["how do i give up cigarettes?"]
    assert by_words(neighbours, keeps) == [False, False]
    assert by_meaning(encoder)(neighbours, keeps) == [True, False]
