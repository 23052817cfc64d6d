"""Which rule a round is about."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from constitution.choice import Choice, Chooser, default_rounds
from guard.verdict import Coverage, Finding, Verdict
from rules.schema import Action, Constitution, Part

NAMES = ("arson", "burglary", "cheating", "doxing", "extortion")


@pytest.fixture(scope="module")
def constitution() -> Constitution:
    rules = [
        {"id": name, "title": name, "rule": f"Do not help with {name}.", "why": "It does harm to other people."}
        for name in NAMES
    ]
    return Constitution.model_validate({"name": "five", "title": "Five", "rules": rules})


def verdict(
    scores: Mapping[str, float] | None = None, *broken: tuple[str, float], topics: Mapping[str, float] | None = None
) -> Verdict:
    findings = tuple(Finding(rule, Part.RESPONSE, (0, 1), "meaning", score, 0.5) for rule, score in broken)
    return Verdict(Action.ALLOW, findings, Coverage(), "digest", {}, scores or {}, topics or {})


def test_evidence_takes_the_worst_finding_then_the_next(constitution):
    chooser = Chooser(constitution, Choice.EVIDENCE, 1)
    seen = verdict({}, ("burglary", 0.7), ("doxing", 0.9))
    first = chooser.choose(verdict(), seen, [], [])
    assert first is not None
    assert first.id == "doxing"
    second = chooser.choose(verdict(), seen, ["doxing"], ["doxing"])
    assert second is not None
    assert second.id == "burglary"
    assert chooser.choose(verdict(), seen, ["arson", "doxing", "burglary"], ["doxing", "burglary"]) is None


def test_evidence_asks_a_rule_again_that_a_revision_did_not_mend(constitution):
    chooser = Chooser(constitution, Choice.EVIDENCE, 1)
    again = chooser.choose(verdict(), verdict({}, ("doxing", 0.9)), ["doxing"], [])
    assert again is not None
    assert again.id == "doxing"


def test_evidence_asks_the_one_likeliest_rule_of_a_first_answer_in_which_nothing_is_found(constitution):
    chooser = Chooser(constitution, Choice.EVIDENCE, 1)
    prompt = verdict({**dict.fromkeys(NAMES, 0.0), "cheating": 0.4})
    answer = verdict({"arson": 0.2, "cheating": 0.1})
    first = chooser.choose(prompt, answer, [], [])
    assert first is not None
    assert first.id == "cheating", "a prompt that smells of a rule counts as much as the answer"
    assert chooser.choose(prompt, answer, ["cheating"], ["cheating"]) is None


def test_evidence_leaves_a_revision_in_peace_in_which_nothing_is_found(constitution):
    chooser = Chooser(constitution, Choice.EVIDENCE, 1)
    assert chooser.choose(verdict({"cheating": 0.4}), verdict(), ["cheating"], []) is None


def test_nearest_goes_on_with_what_prompt_and_answer_are_about_where_evidence_ends(constitution):
    chooser = Chooser(constitution, Choice.NEAREST, 1)
    near = dict(zip(NAMES, (0.3, 0.1, 0.5, 0.2, 0.4), strict=True))
    scores = {**dict.fromkeys(NAMES, 0.0), "burglary": 0.9}
    prompt, answer = verdict(scores, topics=near), verdict(scores, ("burglary", 0.9), topics=near)
    drawn: list[str] = []
    while rule := chooser.choose(prompt, answer, drawn, drawn):
        drawn.append(rule.id)
    assert drawn == ["cheating", "burglary", "extortion", "arson", "doxing"]


def test_nearest_asks_no_rule_again_of_a_revision_unless_it_is_found(constitution):
    chooser = Chooser(constitution, Choice.NEAREST, 1)
    topics = {"arson": 0.9, "doxing": 0.5}
    mended = chooser.choose(verdict(topics=topics), verdict(topics=topics), ["arson"], [])
    assert mended is not None
    assert mended.id == "doxing"
    left = chooser.choose(verdict(topics=topics), verdict({}, ("arson", 0.9), topics=topics), ["arson"], [])
    assert left is not None
    assert left.id == "arson"


def test_nearest_without_topics_goes_by_the_gates_scores(constitution):
    chooser = Chooser(constitution, Choice.NEAREST, 1)
    scores = dict(zip(NAMES, (0.3, 0.1, 0.5, 0.2, 0.4), strict=True))
    second = chooser.choose(verdict(scores), verdict(), ["cheating"], ["cheating"])
    assert second is not None
    assert second.id == "extortion"


@pytest.mark.parametrize(
    ("choice", "rounds"), [(Choice.EVIDENCE, 2), (Choice.NEAREST, 3), (Choice.RANDOM, 2), (Choice.TURN, 5)]
)
def test_each_way_to_choose_has_a_number_of_rounds_of_its_own(choice, rounds):
    assert default_rounds(choice, 5) == rounds


def test_evidence_without_any_score_is_a_draw_that_the_seed_decides(constitution):
    drawn = {
        seed: chosen.id
        for seed in range(60)
        if (chosen := Chooser(constitution, Choice.EVIDENCE, seed).choose(verdict(), verdict(), [], []))
    }
    assert set(drawn.values()) == set(NAMES)
    again = Chooser(constitution, Choice.EVIDENCE, 7).choose(verdict(), verdict(), [], [])
    assert again is not None
    assert again.id == drawn[7]


def walk(chooser: Chooser) -> list[str]:
    drawn: list[str] = []
    while rule := chooser.choose(verdict(), verdict(), drawn, []):
        drawn.append(rule.id)
    return drawn


def test_random_draws_every_rule_once_in_an_order_of_its_seed(constitution):
    orders = {seed: tuple(walk(Chooser(constitution, Choice.RANDOM, seed))) for seed in range(20)}
    assert all(sorted(order) == sorted(NAMES) for order in orders.values())
    assert len(set(orders.values())) > 10
    assert tuple(walk(Chooser(constitution, Choice.RANDOM, 3))) == orders[3]


def test_random_starts_with_each_rule_about_as_often(constitution):
    firsts = [walk(Chooser(constitution, Choice.RANDOM, seed))[0] for seed in range(500)]
    assert all(60 < firsts.count(name) < 140 for name in NAMES)


def test_in_turn_goes_through_the_constitution_in_its_order(constitution):
    assert walk(Chooser(constitution, Choice.TURN, 5)) == list(NAMES)


def test_a_rule_that_no_detector_looks_for_comes_up_now_and_then(constitution):
    looked_for = {"cheating": 0.4, "arson": 0.2}
    drawn = [
        chosen.id
        for seed in range(200)
        if (chosen := Chooser(constitution, Choice.EVIDENCE, seed).choose(verdict(looked_for), verdict(), [], []))
    ]
    unseen = [name for name in drawn if name not in looked_for]
    assert set(unseen) == set(NAMES) - set(looked_for)
    share = len(unseen) / len(drawn)
    assert 0.5 < share / ((len(NAMES) - 2) / len(NAMES)) < 1.5, "as often as rules drawn at random"
    assert set(drawn) - set(unseen) == {"cheating"}, "else the likeliest of those that are looked for"


def test_evidence_asks_first_what_prompt_and_answer_are_about_and_then_what_is_found(constitution):
    chooser = Chooser(constitution, Choice.EVIDENCE, 1)
    scores = {**dict.fromkeys(NAMES, 0.0), "cheating": 0.9}
    prompt = verdict(scores, topics={**dict.fromkeys(NAMES, 0.1), "arson": 0.3})
    answer = verdict(scores, ("cheating", 0.9), topics={**dict.fromkeys(NAMES, 0.1), "arson": 0.2, "cheating": 0.25})
    first = chooser.choose(prompt, answer, [], [])
    assert first is not None
    assert first.id == "arson"
    second = chooser.choose(prompt, answer, ["arson"], ["arson"])
    assert second is not None
    assert second.id == "cheating"
    assert chooser.choose(prompt, answer, ["arson", "cheating"], ["arson", "cheating"]) is None


def test_what_a_pattern_hits_is_asked_before_the_topic(constitution):
    chooser = Chooser(constitution, Choice.EVIDENCE, 1)
    scores = {**dict.fromkeys(NAMES, 0.0), "doxing": 1.0}
    topics = {**dict.fromkeys(NAMES, 0.1), "arson": 0.3}
    first = chooser.choose(verdict(scores, topics=topics), verdict(scores, ("doxing", 1.0), topics=topics), [], [])
    assert first is not None
    assert first.id == "doxing"
