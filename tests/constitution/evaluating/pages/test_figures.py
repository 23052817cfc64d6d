"""Figures in words."""

from __future__ import annotations

import pytest

from constitution.evaluating.criterion import Measure, Reliability
from constitution.evaluating.pages.figures import change, number, range_of, reliabilities, spanned, told
from constitution.evaluating.report import Pairing


def measure(value: float, low: float, high: float, **more: object) -> Measure:
    return Measure.model_validate(
        {"name": "x", "title": "x", "value": value, "low": low, "high": high, "n": 10, **more}
    )


@pytest.mark.parametrize(
    ("value", "unit", "signed", "text"),
    [
        (0.125, "share", False, "12.5%"),
        (-0.031, "share", True, "-3.1 points"),
        (0.5, "share", True, "+50.0 points"),
        (0.0432, "score", False, "0.043"),
        (42.25, "characters", False, "42.2"),
        (1310.4, "characters", True, "+1,310"),
    ],
)
def test_a_figure_has_as_many_places_as_it_bears(value, unit, signed, text):
    assert number(value, unit, signed=signed) == text


def test_a_gap_is_told_with_its_sign_and_a_share_without():
    assert told(measure(0.1, 0.05, 0.2)) == "10.0%"
    gap = measure(0.1, -0.05, 0.2, better="nearer 0")
    assert (told(gap), spanned(gap)) == ("+10.0 points", "-5.0 to +20.0")


def test_a_range_stays_on_its_line():
    assert range_of(measure(0.5, -0.2, 1.3)) == (0.0, 50.0, 100.0)


@pytest.mark.parametrize(
    ("better", "low", "high", "word"),
    [
        ("lower", -0.3, -0.1, "better"),
        ("lower", 0.1, 0.3, "worse"),
        ("higher", 0.1, 0.3, "better"),
        ("higher", -0.3, 0.1, "no clear difference"),
        ("nearer 0", 0.1, 0.3, "changed"),
        ("nearer 0", -0.1, 0.3, "no clear difference"),
    ],
)
def test_a_change_is_called_so_only_where_its_interval_leaves_nought_out(better, low, high, word):
    pairing = Pairing(
        criterion="a",
        measure="b",
        title="c",
        unit="share",
        better=better,
        pairs=9,
        before=0.0,
        after=0.0,
        difference=(low + high) / 2,
        low=low,
        high=high,
    )
    assert change(pairing) == word


def test_reliabilities_name_the_question_only_where_there_are_several():
    gate = Reliability(of="breaks", by="gate", labels=79, agreement=0.658, low=0.54, high=0.76)
    judge = Reliability(of="breaks", labels=40, agreement=0.9, low=0.76, high=0.97)
    assert reliabilities([gate, judge]) == "gate 65.8% of 79; judge 90.0% of 40"
    other = Reliability(of="sensible", labels=40, agreement=0.9, low=0.76, high=0.97)
    assert reliabilities([judge, other]) == "judge (breaks) 90.0% of 40; judge (sensible) 90.0% of 40"
