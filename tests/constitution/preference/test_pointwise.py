"""Answers graded alone: no order, each asked about once, the difference of two grades as the label."""

from __future__ import annotations

import pytest

from constitution.preference.figures import gather
from constitution.preference.options import yes_or_no
from guard.models.base import Reply, TokenLogprob, Usage

from .conftest import ALONE, Taster, contest, odds_of


async def test_the_difference_of_two_grades_is_the_label_whatever_the_judge_leans_to(matches):
    for lean in (0.0, 3.0):
        outcome = await matches(Taster(lean), form="pointwise").hold(contest("good ***", "bad *"))
        (duel,) = outcome.duels
        assert odds_of(duel.label) == pytest.approx(2)
        assert duel.looks[0].grades == pytest.approx((2 + lean, 0 + lean))
        assert duel.orders is None
        assert (duel.looks[0].first, duel.looks[0].made) == (None, False)


async def test_the_places_of_the_answers_change_nothing(matches):
    one = await matches(Taster(1.0), "a", form="pointwise", seed=3).hold(contest("good **", "bad", id="x"))
    other = await matches(Taster(1.0), "b", form="pointwise", seed=3).hold(contest("bad", "good **", id="x"))
    assert one.duels[0].label == pytest.approx(1 - other.duels[0].label)
    assert gather([one, other]).position.flipped is None


async def test_each_answer_is_asked_about_once_a_rule_however_many_it_meets(matches, sample_constitution):
    judge = Taster()
    outcome = await matches(judge, form="pointwise", principles=2).hold(contest("a *", "b **", "c ***", "d ****"))
    assert len(outcome.duels) == 6
    assert len(judge.asks) == len({ask.messages for ask in judge.asks}) == 4 * 2
    assert {len({look.rule for look in duel.looks}) for duel in outcome.duels} == {2}
    assert outcome.best == 3
    texts = [rule.rule.say("en") for rule in sample_constitution.rules]
    assert all(any(text in ask.messages[-1].content for text in texts) for ask in judge.asks)


async def test_reasons_come_first_and_the_label_is_kept_between_the_bounds(matches):
    judge = Taster(says=lambda ask: Reply("It is kind.") if "Think it through" in ask.messages[-1].content else None)
    outcome = await matches(judge, form="pointwise", cot=True).hold(contest("good ****", "bad"))
    assert outcome.duels[0].label == 0.6
    assert outcome.duels[0].looks[0].reasons == ("It is kind.", "It is kind.")
    assert judge.asks[-1].messages[-2].content == "It is kind."


async def test_a_model_without_log_probabilities_is_asked_for_votes_that_are_never_certain(matches):
    outcome = await matches(Taster(lean=9.0, mute=True), form="pointwise", votes=8).hold(contest("good **", "fair *"))
    (look,) = outcome.duels[0].looks
    assert look.how == "votes"
    assert look.grades == pytest.approx((odds_of(8.5 / 9),) * 2)
    assert outcome.duels[0].reason == "near_tie"


async def test_a_grade_that_cannot_be_read_leaves_the_pair_out(matches):
    maybe = Reply("Maybe", usage=Usage(1, 1), logprobs=(TokenLogprob("Maybe", -0.01, {"Maybe": -0.01}),))
    judge = Taster(says=lambda ask: maybe if "odd" in ALONE.search(ask.messages[-1].content)[1] else None)
    outcome = await matches(judge, form="pointwise").hold(contest("odd", "good *", "fine **"))
    assert [duel.reason for duel in outcome.duels] == ["one_grade", "one_grade", None]
    both = await matches(judge, "b", form="pointwise").hold(contest("odd", "odd too"))
    assert both.duels[0].reason == "unreadable"


async def test_answers_that_differ_in_spaces_alone_are_not_asked_about(matches):
    judge = Taster()
    outcome = await matches(judge, form="pointwise").hold(contest("same  *", "same *"))
    assert (outcome.duels[0].reason, judge.asks) == ("same_answers", [])


@pytest.mark.parametrize("form", ["pairwise", "pointwise"])
async def test_the_scale_multiplies_the_log_odds_of_each_label(form, matches):
    plain = await matches(Taster(), "a", form=form, join="log-odds").hold(contest("good *", "bad"))
    wider = await matches(Taster(), "b", form=form, join="log-odds", scale=2.5).hold(contest("good *", "bad"))
    assert odds_of(wider.duels[0].label) == pytest.approx(2.5 * odds_of(plain.duels[0].label))


@pytest.mark.parametrize(
    ("text", "first"),
    [("Yes", True), (" no.", False), ("**Yes**", True), ("Answer: no", False), ("是", True), ("不是", False),
     ("否", False), ("答案：是", True), ("Yesterday", None), ("It is not so: no", None), ("", None)],
)  # fmt: skip
def test_yes_and_no_are_read_from_words_that_say_nothing_else(text, first):
    assert yes_or_no(("yes", "是"), ("no", "否", "不")).first(text) is first
