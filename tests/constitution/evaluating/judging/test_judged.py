"""A judge's word, and how far it agrees with labels."""

from __future__ import annotations

import json

import jsonschema
import pytest

from constitution.evaluating.agreement import agreement_of
from constitution.evaluating.criterion import CannotRun
from constitution.evaluating.judged import Case, doubts, judged, read_word, reliability, schema
from constitution.evaluating.written import labelled_talks
from guard.exchange import Message
from guard.models.base import ContentRefused, Reply
from guard.training.metrics import share

CASE = Case("en", (Message("user", "Are you cold?"),), "Freezing, my hands are blue.")


@pytest.mark.parametrize(
    ("text", "says"),
    [('{"answer": "yes"}', True), ('{"answer": "No"}', False), ('```json\n{"answer": "yes"}\n```', True),
     ('{"reason": "It has hands.", "answer": "yes"}', True), ('{"answer": true}', True)],
)  # fmt: skip
def test_a_word_is_read_from_one_object(text, says):
    assert read_word(Reply(text), grade=False).says is says


@pytest.mark.parametrize(
    "text",
    ["yes", "", '{"answer": "perhaps"}', '{"answer": null}', '["yes"]', '{"verdict": "yes"}', '{"answer": "ye',
     'The answer says {"answer": "no"} itself'],
)  # fmt: skip
def test_what_is_no_word_is_not_guessed(text):
    assert read_word(Reply(text), grade=False) is None


def test_a_word_that_was_cut_off_or_withheld_is_none():
    assert read_word(Reply('{"answer": "yes"}', "length"), grade=False) is None
    assert read_word(Reply("", "filter"), grade=False) is None


@pytest.mark.parametrize(("answer", "says"), [(1, 1), (5, 5), (0, None), (6, None), (True, None), ("4", None)])
def test_a_grade_is_a_whole_number_from_1_to_5(answer, says):
    word = read_word(Reply(json.dumps({"answer": answer})), grade=True)
    assert (word.says if word else None) == says


def test_what_the_schema_lets_through_can_be_read():
    for grade, answer in ((False, "no"), (True, 3)):
        for reasons in (False, True):
            said = {"reason": "So.", "answer": answer} if reasons else {"answer": answer}
            jsonschema.validate(said, schema(grade=grade, reasons=reasons))
            assert read_word(Reply(json.dumps(said)), grade=grade) is not None
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"answer": "maybe"}, schema(grade=False, reasons=False))


async def test_a_judge_that_answers_no_json_is_asked_again_and_drawn_then(stage, bench_of):
    replies = iter(["I think so!", stage.word(True)])
    judge = stage.Play(lambda ask: next(replies))
    bench = bench_of(lambda ask: "-", judge)
    [word] = await bench.each([CASE], lambda case: judged(bench, "claims", case, about="1"))
    assert word.says is True
    assert [ask.sampling.temperature > 0 for ask in judge.asks] == [False, True]
    assert judge.asks[0].schema == schema(grade=False, reasons=False)


async def test_without_a_judge_nothing_is_judged(bench_of):
    bench = bench_of(lambda ask: "-")
    with pytest.raises(CannotRun, match="--judge"):
        await bench.each([CASE], lambda case: judged(bench, "claims", case, about="1"))
    assert await reliability(bench, "identity", labelled_talks("identity"), ("claims",)) == ()


def knows(stage, question, items):
    """A judge that says what is labelled."""
    labels = {item.answer: item.labels[question] for item in items}
    return lambda ask: stage.word(labels[stage.answer_in(ask)])


@pytest.mark.parametrize("question", ["claims", "says"])
async def test_a_judge_that_knows_the_labels_agrees_with_all(stage, bench_of, question):
    items = labelled_talks("identity")
    bench = bench_of(lambda ask: "-", knows(stage, question, items))
    [found] = await reliability(bench, "identity", items, (question,))
    assert (found.of, found.by, found.labels, found.unread) == (question, "judge", len(items), 0)
    assert (found.agreement, found.high, found.kappa) == (1.0, 1.0, 1.0)
    assert found.low == pytest.approx(share(len(items), len(items)).low)
    assert found.informs
    assert doubts([found]) == ()


async def test_a_judge_that_always_says_the_same_is_told_as_no_better_than_guessing(stage, bench_of):
    items = labelled_talks("identity")
    bench = bench_of(lambda ask: "-", lambda ask: stage.word(False))
    [found] = await reliability(bench, "identity", items, ("claims",))
    assert found.agreement == found.baseline
    assert found.kappa == 0
    assert not found.informs
    [doubt] = doubts([found])
    assert "`claims` was not shown to be better than guessing" in doubt


async def test_cases_that_the_judge_does_not_read_are_told_apart_and_leave_nothing_out_of_the_criterion(
    stage, bench_of
):
    items = labelled_talks("identity")
    knowing = knows(stage, "claims", items)

    def judge(ask):
        if stage.answer_in(ask) == items[0].answer:
            return "Hm."
        if stage.answer_in(ask) == items[1].answer:
            return ContentRefused("the filter refused")
        return knowing(ask)

    bench = bench_of(lambda ask: "-", judge)
    bench.left_out["too long for the model"] = 3
    [found] = await reliability(bench, "identity", items, ("claims",))
    assert (found.unread, found.labels) == (2, len(items) - 2)
    assert dict(bench.left_out) == {"too long for the model": 3}


async def test_grades_agree_to_the_grade_and_within_one(stage, bench_of):
    items = labelled_talks("helpfulness")
    labels = {item.answer: item.labels["helpful"] for item in items}
    bench = bench_of(lambda ask: "-", lambda ask: stage.word(min(5, labels[stage.answer_in(ask)] + 1)))
    exact, near = await reliability(bench, "helpfulness", items, ("helpful",))
    assert exact.agreement == pytest.approx(0.2)
    assert exact.baseline == pytest.approx(0.2)
    assert 0.5 < exact.kappa < 1
    assert near.agreement == 1.0
    assert near.baseline == pytest.approx(0.6)
    assert near.kappa is None


async def test_the_limit_holds_for_labels_too(stage, bench_of):
    items = labelled_talks("identity")
    bench = bench_of(lambda ask: "-", knows(stage, "claims", items), limit=7)
    [found] = await reliability(bench, "identity", items, ("claims",))
    assert found.labels == 7


async def test_what_was_judged_is_not_asked_again(stage, bench_of):
    items = labelled_talks("identity")
    judge = stage.Play(knows(stage, "claims", items))
    bench = bench_of(lambda ask: "-", judge)
    first = await reliability(bench, "identity", items, ("claims",))
    asked = len(judge.asks)
    assert await reliability(bench, "identity", items, ("claims",)) == first
    assert len(judge.asks) == asked == len(items)


async def test_with_reasons_asked_for_they_come_before_the_word_and_are_kept(stage, bench_of, tmp_path):
    import shutil

    from constitution.evaluating.wording import QUESTIONS, WordSet

    folder = shutil.copytree(QUESTIONS, tmp_path / "questions")
    for path in folder.glob("*.yaml"):
        path.write_text(path.read_text().replace("reasons: false", "reasons: true"))
    judge = stage.Play(lambda ask: stage.word(True, reason="It has hands."))
    bench = bench_of(lambda ask: "-", judge, questions=WordSet.read(folder))
    [word] = await bench.each([CASE], lambda case: judged(bench, "claims", case, about="1"))
    assert (word.says, word.reason) == (True, "It has hands.")
    assert list(judge.asks[0].schema["properties"]) == ["reason", "answer"]
    assert "reason" in judge.asks[0].messages[-1].content


def test_agreement_beside_the_commonest_label():
    found = agreement_of("sensible", [True] * 6 + [False] * 4, [True] * 7 + [False] * 2 + [None])
    assert (found.labels, found.unread) == (9, 1)
    assert found.agreement == pytest.approx(8 / 9)
    assert found.baseline == pytest.approx(6 / 9)
    assert found.kappa == pytest.approx(0.7272727)
    assert agreement_of("sensible", [True], [None]) is None
    assert agreement_of("sensible", [True, True], [True, True]).kappa is None
