"""The pictures: drawn from the figures, in the page's own colours and fonts."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from constitution.report.pictures import lengths, scores_by_round
from constitution.statistics import gather


@pytest.fixture
def figures(row_with, round_with):
    """Figures of so many rows, each changed in one round."""

    def make(count):
        return gather(
            row_with(
                id=f"{at}",
                answer="a" * (50 + 10 * at),
                final="b" * (40 + at),
                rounds=(round_with("insults", "breaks", revision="b", score_after=0.1 * (at % 3)),),
                score_answer=1 - 0.05 * (at % 9),
            )
            for at in range(count)
        )

    return make


@pytest.mark.parametrize("draw", [scores_by_round, lengths])
@pytest.mark.parametrize("count", [1, 2, 60])
def test_a_picture_is_well_formed_and_takes_its_colours_from_the_page(draw, count, figures):
    svg = draw(figures(count))
    root = ET.fromstring(svg)
    assert root.get("viewBox")
    assert root.get("width") is None
    colours = re.findall(r"(?:fill|stroke): (#[0-9a-fA-F]+)", svg)
    assert colours == []
    assert "var(--safe)" in svg
    assert "font-family" not in svg


def test_the_picture_says_the_mean_of_every_round(figures):
    made = figures(60)
    words = [text.text for text in ET.fromstring(scores_by_round(made)).iter() if text.tag.endswith("text")]
    assert [f"{step.mean:.2f}" for step in made.scores] == [word for word in words if re.fullmatch(r"0\.\d\d", word)]
    assert {"first answer", "round 1"} <= set(words)


def test_the_picture_says_both_medians(figures):
    made = figures(60)
    svg = lengths(made)
    assert f"first: median {made.length_first.quantile(0.5):,.0f}" in svg
    assert f"final: median {made.length_final.quantile(0.5):,.0f}" in svg


def test_where_there_is_nothing_to_draw_there_is_no_picture():
    assert scores_by_round(gather([])) is None
    assert lengths(gather([])) is None


def test_the_two_pictures_of_a_page_share_no_id(figures):
    made = figures(60)
    first, second = (set(re.findall(r'\bid="([^"]+)"', draw(made))) for draw in (scores_by_round, lengths))
    assert first & second == set()
