"""Which rows are shown, and how quotes are marked."""

from __future__ import annotations

import pytest

from constitution.report.samples import PER_KIND, choose, mark
from constitution.row import Rejection


def test_samples_are_drawn_in_turn_over_the_rules(row_with, round_with):
    def changed(at, rule):
        return row_with(id=f"{rule}-{at}", rounds=(round_with(rule, "breaks", revision="x"),))

    rows = [changed(at, "common") for at in range(200)] + [changed(at, f"rare-{at}") for at in range(3)]
    samples = choose(rows, changed=5)
    assert sorted(row.shaped_by[0] for row in samples.changed) == ["common", "common", "rare-0", "rare-1", "rare-2"]


def test_rejects_are_drawn_in_turn_over_the_reasons(row_with):
    rows = [
        row_with(id=f"{at}", status="rejected", rejection=Rejection(stage="checks", reason="ab"[at % 10 == 0]))
        for at in range(50)
    ]
    assert {row.rejection.reason for row in choose(rows, rejected=2).rejected} == {"a", "b"}


def test_the_order_of_the_rows_does_not_change_the_draw(row_with, round_with):
    rows = [row_with(id=f"row-{at}", rounds=(round_with("r1", "breaks", revision="x"),)) for at in range(50)]
    assert choose(rows) == choose(reversed(rows))


def test_the_draw_is_no_prefix_of_the_file(row_with):
    rows = [row_with(id=f"{at:04}") for at in range(500)]
    assert {row.id for row in choose(rows).unchanged}.isdisjoint({"0000", "0001", "0002"})


def test_few_rows_of_one_kind_are_kept(row_with):
    assert len(choose([row_with(id=f"{at}") for at in range(99)], unchanged=50).unchanged) == PER_KIND


def test_no_rows_give_no_samples():
    assert not choose([])


@pytest.mark.parametrize(
    ("text", "quotes", "pieces"),
    [
        ("abc", [], [("abc", False)]),
        ("abc", ["b"], [("a", False), ("b", True), ("c", False)]),
        ("abab", ["a"], [("a", True), ("b", False), ("a", True), ("b", False)]),
        ("abcd", ["abc", "bcd"], [("abcd", True)]),
        ("abcd", ["bc", "abcd"], [("abcd", True)]),
        ("abc", ["x", ""], [("abc", False)]),
        ("", ["x"], []),
        ("你好吗", ["好"], [("你", False), ("好", True), ("吗", False)]),
    ],
)
def test_quotes_are_marked_wherever_they_stand(text, quotes, pieces):
    assert mark(text, quotes) == pieces


@pytest.mark.parametrize("quotes", [["a<b"], ["<"], ["b", "a<b>c"]])
def test_the_pieces_together_are_the_text(quotes):
    text = "a<b>c a<b>c"
    assert "".join(piece for piece, _ in mark(text, quotes)) == text
