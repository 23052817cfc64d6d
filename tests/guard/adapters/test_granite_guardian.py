from __future__ import annotations

import pytest

from guard.adapters import adapters
from guard.judging.asker import Unreadable

OLD, NEW = adapters()["granite-guardian-3.0"], adapters()["granite-guardian-3.3"]


def test_a_rule_is_asked_about_by_its_own_text(make_rule, piece):
    rule = make_rule(allowed=["Museum labels."])
    new = NEW.question(piece(), [rule]).template
    assert new["think"] is False
    assert str(rule.rule) in new["guardian_config"]["custom_criteria"]
    assert "Museum labels" in new["guardian_config"]["custom_criteria"]
    assert new["guardian_config"]["custom_criteria"].startswith("The user's message")
    old = OLD.question(piece("Sure.", prompt="How?"), [rule]).template
    assert set(old) == {"guardian_config"}
    assert old["guardian_config"]["risk_name"] == "weapon_help"
    assert old["guardian_config"]["risk_definition"].startswith("The assistant's message")


def test_a_rule_that_names_a_criterion_of_the_model_is_asked_about_by_that_name(make_rule, piece):
    rule = make_rule(hazards=["granite-guardian-3:violence"])
    assert NEW.question(piece(), [rule]).template["guardian_config"] == {"criteria_id": "violence"}
    assert OLD.question(piece(), [rule]).template["guardian_config"] == {"risk_name": "violence"}
    unknown = make_rule(hazards=["granite-guardian-3:witchcraft"])
    assert "custom_criteria" in NEW.question(piece(), [unknown]).template["guardian_config"]


@pytest.mark.parametrize(
    ("adapter", "text", "score"),
    [
        (OLD, "Yes", 1.0),
        (OLD, "No", 0.0),
        (OLD, "Yes\n<confidence> High </confidence>", 1.0),
        (OLD, "No <confidence>Low</confidence>", 0.0),
        (NEW, "<score> yes </score>", 1.0),
        (NEW, "<score>no</score>", 0.0),
        (NEW, "<think>It asks for a recipe.</think>\n<score> yes </score>", 1.0),
    ],
)
def test_yes_and_no_are_read_in_the_form_of_each_generation(adapter, text, score, make_rule, piece, reply):
    assert adapter.read(reply(text), piece(), [make_rule()]).scores == {"weapon-help": score}


def test_the_score_is_how_likely_yes_was_where_it_was_said(make_rule, piece, reply):
    tokens = [("<", {}), ("score", {}), (">", {}), (" yes", {" yes": 0.8, " no": 0.2}), (" </score>", {})]
    assert NEW.read(reply("<score> yes </score>", *tokens), piece(), [make_rule()]).scores == {
        "weapon-help": pytest.approx(0.8)
    }
    assert OLD.read(reply("No", ("No", {"No": 0.9, "Yes": 0.1})), piece(), [make_rule()]).scores == {
        "weapon-help": pytest.approx(0.1)
    }


@pytest.mark.parametrize("adapter", [OLD, NEW])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "Maybe",
        "<score> maybe </score>",
        "<score> no",
        "<score></score>",
        "<think>It is fine",
        "no problem",
        "I'm sorry, I can't.",
        "<score> no </score><score> yes </score>",
        "Yes and No",
    ],
)
def test_a_malformed_answer_is_unreadable_and_never_safe(adapter, text, make_rule, piece, reply):
    with pytest.raises(Unreadable):
        adapter.read(reply(text), piece(), [make_rule()])
    with pytest.raises(Unreadable, match=r"cut off|empty"):
        adapter.read(reply(text, finish="length"), piece(), [make_rule()])
