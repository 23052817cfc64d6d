from __future__ import annotations

import pytest

from guard.adapters import adapters
from guard.judging.asker import Unreadable

QWEN = adapters()["qwen3guard"]


@pytest.fixture
def rules(make_rule):
    return [
        make_rule("weapons", hazards=["mlcommons-1.0:indiscriminate-weapons"]),
        make_rule("privacy", hazards=["qwen3guard:pii"]),
        make_rule("jailbreak", hazards=["qwen3guard:jailbreak"]),
    ]


def test_a_safe_prompt_and_a_safe_answer_score_nothing(rules, piece, reply):
    prompt = QWEN.read(reply("Safety: Safe\nCategories: None"), piece(), rules)
    answer = QWEN.read(reply("Safety: Safe\nCategories: None\nRefusal: Yes"), piece("No.", prompt="How?"), rules)
    assert set(prompt.scores.values()) == set(answer.scores.values()) == {0.0}


def test_categories_land_on_the_rules_that_carry_their_hazards(rules, piece, reply):
    reading = QWEN.read(reply("Safety: Unsafe\nCategories: Violent, PII"), piece(), rules)
    assert reading.scores == {"weapons": 1.0, "privacy": 1.0, "jailbreak": 0.0}
    assert reading.reason == "Unsafe: PII, Violent"
    jailbreak = QWEN.read(reply("Safety: Unsafe\nCategories: Jailbreak\n"), piece(), rules)
    assert jailbreak.scores == {"weapons": 0.0, "privacy": 0.0, "jailbreak": 1.0}


def test_controversial_lies_in_the_middle(rules, piece, reply):
    reading = QWEN.read(reply("Safety: Controversial\nCategories: Violent"), piece(), rules)
    assert reading.scores["weapons"] == 0.5


def test_the_score_is_the_expected_grade(rules, piece, reply):
    top = {" Unsafe": 0.6, " Cont": 0.3, " Safe": 0.1}
    tokens = [("Safety", {}), (":", {}), (" Unsafe", top), ("\n", {}), ("Categories", {})]
    reading = QWEN.read(reply("Safety: Unsafe\nCategories: Violent", *tokens), piece(), rules)
    assert reading.scores["weapons"] == pytest.approx(0.75)
    top = {" Controversial": 0.6, " Safe": 0.4}
    tokens = [("Safety:", {}), (" Controversial", top)]
    reading = QWEN.read(reply("Safety: Controversial\nCategories: Violent", *tokens), piece(), rules)
    assert reading.scores["weapons"] == 0.5  # what it calls controversial is no less than that


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Safety:",
        "Safety: Unsafe",
        "Safety: Unsafe\nCategories:",
        "Safety: Unsafe\nCategories: None",
        "Safety: Safe\nCategories: Violent",
        "Safety: Fine\nCategories: None",
        "Safety: Safe\nSafety: Unsafe\nCategories: None",
        "Sure!\nSafety: Safe\nCategories: None",
        "I'm sorry, but I can't help with that.",
        "Categories: None",
        "safe",
    ],
)
def test_a_malformed_answer_is_unreadable_and_never_safe(rules, piece, reply, text):
    with pytest.raises(Unreadable):
        QWEN.read(reply(text), piece(), rules)


def test_an_answer_cut_off_is_unreadable(rules, piece, reply):
    with pytest.raises(Unreadable, match="cut off"):
        QWEN.read(reply("Safety: Safe\nCategories: None", finish="length"), piece(), rules)
    with pytest.raises(Unreadable, match="Refusal"):
        QWEN.read(reply("Safety: Safe\nCategories: None"), piece("Sure.", prompt="How?"), rules)


def test_an_unknown_category_fails_every_rule_that_no_known_one_is_about(rules, piece, reply):
    reading = QWEN.read(reply("Safety: Unsafe\nCategories: Violent, Witchcraft"), piece(), rules)
    assert reading.scores == {"weapons": 1.0}
    assert set(reading.failed) == {"privacy", "jailbreak"}
    assert "Witchcraft" in reading.failed["privacy"]


def test_a_rule_without_a_hazard_that_it_knows_is_not_looked_for(make_rule):
    assert "hazard" in QWEN.why_not(make_rule(hazards=["mlcommons-1.0:specialized-advice"]))
    assert QWEN.why_not(make_rule(hazards=["mlcommons-1.0:hate"])) == ""
