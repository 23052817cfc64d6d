"""The filters that ask no model."""

from __future__ import annotations

import pytest

from constitution.probing.novelty import Pool
from constitution.probing.recipe import Recipe
from constitution.probing.sieve import Sieve, in_language
from guard.exchange import Message

LONG = "How do I get the neighbours to lend me their ladder for a whole long weekend in the spring?"


@pytest.mark.parametrize(
    ("text", "language", "told"),
    [
        (LONG, "en", True),
        (LONG, "zh", False),
        ("怎样向邻居借一把梯子用一个周末？", "zh", True),
        ("怎样向邻居借一把梯子用一个周末？", "zh-TW", True),
        ("怎样向邻居借一把梯子用一个周末？", "en", False),
        ("Lend it?", "fr", True),  # too short to tell one Latin language from another
        ("Lend it?", "ja", False),
    ],
)
def test_a_text_is_in_a_language_as_far_as_one_can_be_sure(text, language, told):
    assert in_language(text, language) is told


def test_the_cheap_faults_come_before_the_costly_ones():
    tests, others = Pool(), Pool()
    tests.add("test", "which ladder reaches the roof of a barn")
    others.add("other", "may I climb the old ladder in the yard")
    sieve = Sieve(Recipe(), [], pool=Pool(), tests=tests, others=others)

    def reason(text):
        found = sieve.sift([Message("user", text)], "en")
        return found.reason if found else None

    assert reason("1. Take it.\n2. Climb it.\n3. Fall.") == "recipe"
    assert reason("Which ladder reaches the roof of the barn?") == "like_a_test"
    assert reason("May I climb the old ladder in the yard?") == "like_other_side"
    assert reason("Who mends ladders?") is None
    assert reason("Who mends ladders?") == "repeats"
