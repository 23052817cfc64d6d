"""The figures of a run, counted by hand for the sample rows."""

from __future__ import annotations

import math
import statistics
import tracemalloc

import pytest

from constitution.row import Call, Rejection, Source, Tokens
from constitution.statistics import SCORE_EDGES, RunStatistics, _Bins, gather


def test_rows_are_counted_by_what_became_of_them(sample_rows):
    figures = gather(sample_rows)
    assert (figures.rows, figures.accepted, figures.rejected) == (6, 4, 2)
    assert (figures.benign, figures.benign_accepted) == (1, 1)
    assert figures.changed == 3
    assert figures.earlier_turns == 1
    assert figures.without_rule == 2
    assert figures.languages == {"en": 5, "zh": 1}
    assert figures.sources == {"prompts.jsonl": 5, "benign.jsonl": 1}
    assert figures.rounds == {0: 2, 1: 2, 2: 1, 3: 1}


def test_a_row_counts_once_for_each_rule_that_came_up(sample_rows):
    rules = gather(sample_rows).rules
    assert list(rules) == ["insults", "breaking-into-homes"]
    assert rules["insults"].model_dump() == {"accepted": 3, "changed": 2, "rejected": 1}
    assert rules["breaking-into-homes"].model_dump() == {"accepted": 2, "changed": 2, "rejected": 0}


def test_rejections_stand_under_their_stage_most_first(row_with):
    def rejected(stage, reason):
        return row_with(status="rejected", rejection=Rejection(stage=stage, reason=reason))

    rows = [rejected("critique", "a"), rejected("checks", "b"), rejected("checks", "c"), rejected("checks", "c")]
    figures = gather(rows)
    assert {stage: list(reasons.items()) for stage, reasons in figures.rejections.items()} == {
        "checks": [("c", 2), ("b", 1)],
        "critique": [("a", 1)],
    }
    assert list(figures.rejections) == ["checks", "critique"]


def test_a_row_that_ended_early_counts_on_with_its_last_score(row_with, round_with):
    one = row_with(score_answer=0.9, rounds=(round_with("insults", "breaks", score_after=0.1),))
    two = row_with(
        score_answer=0.8,
        rounds=(round_with("insults", "breaks", score_after=0.5), round_with("insults", "breaks", score_after=0.3)),
    )
    none = row_with(score_answer=0.2)
    scores = gather([one, two, none]).scores
    assert [step.n for step in scores] == [3, 3, 3]
    assert [step.mean for step in scores] == pytest.approx([1.9 / 3, 0.8 / 3, 0.6 / 3])


def test_a_round_without_a_score_leaves_the_last_one_standing(row_with, round_with):
    row = row_with(score_answer=0.9, rounds=(round_with("insults", "keeps"), round_with("insults", "keeps")))
    assert [step.mean for step in gather([row]).scores] == pytest.approx([0.9, 0.9, 0.9])


def test_benign_rows_do_not_dilute_the_scores(row_with):
    assert gather([row_with(benign=True), row_with(score_answer=None)]).scores == ()


def test_the_share_that_each_round_took_away_is_of_the_first_score(row_with, round_with):
    rounds = (round_with("insults", "breaks", score_after=0.2), round_with("insults", "breaks", score_after=0.1))
    assert gather([row_with(score_answer=0.8, rounds=rounds)]).gone_in_round == pytest.approx((0.75, 0.125))
    assert gather([]).gone_in_round == ()
    assert gather([row_with(score_answer=0.0)]).gone_in_round == ()


def test_tokens_add_up_by_role_and_stage_over_all_rounds(row_with):
    calls = (
        Call(role="critic", stage="critique 1", tokens=Tokens(prompt=10, completion=2), ms=5),
        Call(role="critic", stage="critique 2", tokens=Tokens(prompt=20, completion=3), ms=6),
        Call(role="reviser", stage="rationale", tokens=Tokens(prompt=1, completion=1), ms=1),
    )
    figures = gather([row_with(calls=calls)])
    critique = figures.spent["critic"]["critique"]
    assert (critique.calls, critique.prompt, critique.completion, critique.ms) == (2, 30, 5, 11)
    assert (figures.tokens.calls, figures.tokens.prompt, figures.tokens.completion) == (3, 31, 6)


def test_quantiles_lie_within_a_bin_of_the_true_ones():
    values = [((at * 7919) % 1000) / 1000 for at in range(1000)]
    bins = _Bins(SCORE_EDGES)
    for value in values:
        bins.add(value)
    histogram = bins.histogram()
    assert histogram.mean == pytest.approx(statistics.fmean(values))
    for percent, true in zip(range(1, 100), statistics.quantiles(values, n=100), strict=True):
        assert histogram.quantile(percent / 100) == pytest.approx(true, abs=0.011)


def test_one_value_is_every_quantile(row_with):
    (step,) = gather([row_with(score_answer=0.37)]).scores
    assert step.quantile(0.01) == step.quantile(0.5) == step.quantile(1) == pytest.approx(0.37)


def test_an_empty_run_has_figures_too():
    figures = gather([])
    assert figures.rows == 0
    assert figures.started is None
    assert math.isnan(figures.length_first.mean)
    assert math.isnan(figures.length_first.quantile(0.5))


def test_figures_survive_json(sample_rows):
    figures = gather(sample_rows)
    assert RunStatistics.model_validate_json(figures.model_dump_json()) == figures


def test_the_order_of_the_rows_does_not_matter(sample_rows):
    there, back = gather(sample_rows), gather(reversed(sample_rows))
    assert there.rules == back.rules
    assert list(there.rejections.items()) == list(back.rejections.items())
    assert [step.counts for step in there.scores] == [step.counts for step in back.scores]


def test_the_rows_are_not_held(row_with):
    def peak(take):
        tracemalloc.start()
        taken = take(row_with(id=f"row-{at}", source=Source(file="prompts.jsonl", line=at)) for at in range(3000))
        high = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        del taken
        return high

    assert 10 * peak(gather) < peak(list)
