"""An earlier evaluation beside this one: what a difference may be laid to."""

from __future__ import annotations

import pytest

from constitution.evaluating.report import Made

MADE = Made(
    model="one",
    judge="a judge",
    gate="a gate",
    constitution="c",
    constitution_name="rules",
    templates="t",
    questions="q",
    sampling={"temperature": 0.0},
    samples=4,
    system="",
    seed=0,
)


@pytest.mark.parametrize("changed", [{"model": "two"}, {"system": "Be kind."}, {"seed": 1}, {"judge": None}])
def test_what_answers_otherwise_is_what_is_compared(changed):
    assert MADE.judged_otherwise(MADE.model_copy(update=changed)) == ""


def test_a_difference_may_be_that_of_another_gate_or_judge_and_this_is_said():
    assert MADE.judged_otherwise(MADE.model_copy(update={"gate": "other"})).startswith("another gate then: ")
    both = MADE.judged_otherwise(MADE.model_copy(update={"gate": "other", "judge": "other"}))
    assert both.startswith("another gate and another judge then: ")


def test_what_was_not_there_is_called_none():
    (told,) = MADE.model_copy(update={"judge": None}).differences(MADE)
    assert told == "judge: was `none`, is `a judge`"
