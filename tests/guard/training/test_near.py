from __future__ import annotations

import pytest

from guard.training.near import Grams, groups, near_any, plain

TEXTS = [
    "How do I get a stain of red wine out of a white shirt before a wedding?",
    "How do I get a stain of red wine out of a white shirt before the wedding?!",
    "how do i get a stain of red wine out of a white shirt before a wedding",
    "What did the Romans eat for breakfast in the winter months?",
    "怎样才能把白衬衫上的红酒渍洗掉？明天有婚礼。",
    "怎样才能把白衬衫上的红酒渍洗掉呢？明天有婚礼！",
    "Which trains run from Lisbon to Porto on a Sunday evening?",
]


@pytest.fixture(scope="module")
def grams():
    return Grams(TEXTS)


def test_texts_that_differ_by_a_word_or_by_punctuation_share_a_group(grams):
    first, second, third, romans, chinese, alike, trains = groups(TEXTS, grams)
    assert first == second == third
    assert chinese == alike
    assert len({first, romans, chinese, trains}) == 4


def test_the_same_wish_in_other_words_is_no_near_duplicate(grams):
    other = "My white shirt has red wine on it; what takes that away before we marry?"
    assert near_any([other, TEXTS[1]], TEXTS[:1], grams) == [False, True]


def test_nothing_is_near_to_nothing(grams):
    assert near_any([], TEXTS, grams) == []
    assert near_any(TEXTS[:2], [], grams) == [False, False]
    assert groups([], grams) == []
    assert near_any(["", "?!"], TEXTS, grams) == [False, False]
    assert len(set(groups(["", "?!", TEXTS[0]], grams))) == 3


def test_groups_reach_over_chunks_of_the_computation(grams, monkeypatch):
    monkeypatch.setattr("guard.training.near._CHUNK", 2)
    assert len(set(groups(TEXTS, grams))) == 4
    assert near_any(TEXTS, [TEXTS[5]], grams) == [False] * 4 + [True, True, False]


def test_plain_text_forgets_case_and_marks_but_no_letter_of_any_script():
    assert plain("  Don't_STOP -- now! ") == "don t stop now"
    assert plain("你好，世界！") == "你好 世界"
