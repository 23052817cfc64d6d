"""The bench: what is drawn, what is kept, and what becomes of calls that fail."""

from __future__ import annotations

import pytest

from constitution.calls import BudgetSpent, Meter
from constitution.evaluating.criterion import CannotRun, EvaluationError
from guard.models.base import ContentRefused, ContextTooLong, ModelConfigError, ModelUnavailable, Reply


def test_a_larger_limit_draws_what_a_smaller_one_drew_and_more(bench_of, model_that):
    few, many = bench_of(model_that(), limit=5), bench_of(model_that(), limit=20)
    assert set(few.drawn(range(100))) < set(many.drawn(range(100)))
    groups = {"a": range(50), "b": range(50, 53), "c": range(60, 90)}
    small, large = few.drawn_evenly(groups), many.drawn_evenly(groups)
    assert all(set(items) <= set(large[name]) for name, items in small.items())


def test_groups_share_a_limit_evenly_as_far_as_they_have_items(bench_of, model_that):
    drawn = bench_of(model_that(), limit=13).drawn_evenly({"a": range(50), "b": range(3), "c": range(50)})
    assert {name: len(items) for name, items in drawn.items()} == {"a": 5, "b": 3, "c": 5}


def test_with_a_limit_below_the_groups_it_is_the_seed_that_chooses(bench_of, model_that):
    groups = {str(place): range(3) for place in range(20)}
    chosen = {tuple(bench_of(model_that(), limit=4, seed=seed).drawn_evenly(groups)) for seed in range(6)}
    assert all(len(each) == 4 for each in chosen)
    assert len(chosen) > 1


async def test_the_same_question_is_asked_once_whatever_item_asks_it(bench_of, model_that):
    model = model_that()
    bench = bench_of(model)
    one, other = [await bench.answer("How deep is it?", about=name) for name in ("first", "second")]
    assert one == other
    assert len(model.asks) == 1
    assert (await bench_of(model).answer("How deep is it?", about="third")).text == one.text
    assert len(model.asks) == 1


async def test_several_answers_are_drawn_with_seeds_of_their_own(bench_of, model_that):
    model = model_that()
    bench = bench_of(model)
    for sample in range(3):
        await bench.answer("Go on.", about="a", sample=sample)
    assert len({ask.sampling.seed for ask in model.asks}) == 3


async def test_what_a_filter_kept_back_is_an_answer_and_kept(bench_of, model_that):
    def says(ask):
        raise ContentRefused("the filter refused")

    model = model_that(says)
    for _ in range(2):
        answer = await bench_of(model).answer("Tell me.", about="a")
        assert answer.withheld
        assert answer.text == ""
    assert len(model.asks) == 1
    guard = model_that(lambda ask: Reply("I cannot.", finish="filter"), identity="guard")
    assert (await bench_of(guard).answer("Tell me.", about="a")).withheld


async def test_items_come_back_in_their_order_without_those_that_do_not_fit(bench_of, model_that):
    def says(ask):
        if "three" in ask.messages[-1].content:
            raise ContextTooLong("too long")
        return ask.messages[-1].content

    bench = bench_of(model_that(says))
    found = await bench.each(["one", "two", "three", "four"], lambda word: bench.answer(word, about=word))
    assert [answer.text for answer in found] == ["one", "two", "four"]
    assert bench.left_out == {"too long for the model": 1}


async def test_one_call_that_fails_is_put_aside_and_many_in_a_row_end_the_run(bench_of, model_that):
    def says(ask):
        if ask.messages[-1].content in broken:
            raise ModelUnavailable("answers 500")
        return "fine"

    broken = {"3"}
    bench = bench_of(model_that(says), concurrency=1)
    found = await bench.each([str(n) for n in range(6)], lambda word: bench.answer(word, about=word))
    assert len(found) == 5
    assert bench.progress.failed == 1
    assert bench.left_out == {"the model could not answer": 1}
    broken = {str(n) for n in range(100, 120)}
    with pytest.raises(ModelUnavailable):
        await bench.each(sorted(broken), lambda word: bench.answer(word, about=word))


@pytest.mark.parametrize(
    "error", [ModelConfigError("no key"), ModelUnavailable("nobody there", endpoint_down=True)], ids=["config", "down"]
)
async def test_an_endpoint_that_cannot_answer_at_all_ends_the_run_at_once(error, bench_of, model_that):
    def says(ask):
        raise error

    model = model_that(says)
    bench = bench_of(model, concurrency=1)
    with pytest.raises(type(error)):
        await bench.each(["a", "b", "c"], lambda word: bench.answer(word, about=word))
    assert len(model.asks) == 1


async def test_a_spent_budget_ends_the_criterion(bench_of, model_that):
    bench = bench_of(model_that())
    bench.caller.meter = Meter(budget=130)
    with pytest.raises(BudgetSpent):
        await bench.each(["a", "b", "c"], lambda word: bench.answer(word, about=word))


async def test_a_judge_that_is_not_there_cannot_be_asked(bench_of, model_that):
    bench = bench_of(model_that())
    with pytest.raises(CannotRun, match="--judge"):
        await bench.ask_judge((), about="a", stage="grade")


async def test_a_detector_that_fails_ends_the_evaluation_and_does_not_count_as_clean(bench_of, model_that):
    bench = bench_of(model_that())

    class Broken:
        async def ajudge(self, exchange):
            from guard.verdict import Coverage, Verdict
            from rules.actions import Action

            return Verdict(Action.BLOCK, (), Coverage(degraded={"meaning": "model file is gone"}), "", {})

    bench.gate = Broken()
    with pytest.raises(EvaluationError, match="model file is gone"):
        await bench.verdict("Hello?", "Hello.")


async def test_a_set_is_found_by_its_name_packed_or_not(bench_of, model_that, tmp_path):
    (tmp_path / "oktest.jsonl").write_text('{"prompt": "Why?", "label": "safe"}\n')
    bench = bench_of(model_that(), data=tmp_path)
    assert [row.exchange.text for row in bench.find_set("oktest").rows] == ["Why?"]
    assert bench.find_set("xstest") is None
    with pytest.raises(CannotRun, match=r"holds no `xstest\.jsonl`"):
        bench.data_file("xstest")
    with pytest.raises(CannotRun, match="--data"):
        bench_of(model_that()).data_file("xstest")
