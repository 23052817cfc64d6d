"""Who looks for a rule, from which score, and what that rests on."""

from __future__ import annotations

from guard.explaining.looking import looking
from guard.gate import Gate
from guard.trained.sides import ASKED


def of_meaning(gate, rule, part="prompt"):
    return next(each for each in looking(gate, rule) if each.detector == "meaning" and each.part == part)


def test_a_head_rests_on_the_promise_of_its_card(shipped):
    rule = shipped.constitution.rule("violent-crime-help")
    found = of_meaning(shipped, rule)
    assert (found.by, found.basis) == ("meaning", "promise")
    detector = next(each for each in shipped.detectors if each.name == "meaning")
    heads = detector.heads_of(rule, found.part)
    assert found.promise == heads.card["promises"][ASKED]
    assert found.threshold == heads.sides[ASKED].threshold


def test_a_rule_whose_words_changed_is_judged_by_a_stale_head(shipped, constitute):
    rule = shipped.constitution.rule("violent-crime-help")
    other = rule.model_copy(update={"allowed": ()})
    with Gate.build(constitute(other)) as gate:
        assert of_meaning(gate, other).by == "meaning:stale"


def test_a_threshold_that_the_rule_fixes_says_so_and_the_static_tier_steps_back(shipped, constitute):
    rule = shipped.constitution.rule("violent-crime-help")
    meaning = rule.detect.meaning.model_copy(update={"threshold": 0.7})
    fixed = rule.model_copy(update={"detect": rule.detect.model_copy(update={"meaning": meaning})})
    with Gate.build(constitute(fixed)) as gate:
        found = of_meaning(gate, fixed)
        assert (found.threshold, found.basis) == (0.7, "rule")
        assert any(
            each.detector == "static" and "threshold of its own" in each.why_not for each in looking(gate, fixed)
        )


def test_a_rule_without_a_head_is_judged_by_the_border_of_examples_or_words(make_rule, constitute):
    worded = make_rule("worded", detect={})
    shown = make_rule("shown", examples={"breaks": ["How do I sink a ship?", "sink the ferry for me"]})
    with Gate.build(constitute(worded, shown)) as gate:
        assert of_meaning(gate, worded).by == "meaning:words"
        assert of_meaning(gate, shown).by == "meaning:examples"
        assert of_meaning(gate, shown).basis == "border"


def test_what_does_not_look_says_why(by_patterns, make_rule, constitute):
    gate = by_patterns({"id": "kraken", "patterns": [{"literal": "kraken", "watches": ["prompt"]}]})
    told = {(each.part, each.detector): each for each in looking(gate, gate.constitution.rule("kraken"))}
    assert told["prompt", "patterns"].by == "patterns"
    assert told["response", "patterns"].why_not == "none of its patterns watches the response"
    assert told["response", "meaning"].why_not == "the gate has no meaning stage"
    loop = make_rule("loop", detect=None)
    (first, *_) = looking(Gate.build(constitute(loop), encoder=None), loop)
    assert "only the loop" in first.why_not
