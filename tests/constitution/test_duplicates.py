"""Near duplicates: the first in the input stays."""

from __future__ import annotations

import random
from contextlib import closing

import pytest

from constitution.duplicates import REASON, Signatures, reject_duplicates
from constitution.store import RowStore

WORDS = (
    "garden river winter paper window yellow silent carry follow bread morning street letter quiet stone summer table"
    " people answer music travel number corner bottle picture animal weather brother kitchen market"
).split()


def text_of(seed: int, words: int = 60) -> str:
    draw = random.Random(seed)
    return " ".join(draw.choice(WORDS) for _ in range(words)) + "."


def with_changes(text: str, share: float) -> str:
    words, draw = text.split(), random.Random(1)
    for place in draw.sample(range(len(words)), int(len(words) * share)):
        words[place] = "otherwise"
    return " ".join(words)


@pytest.fixture
def store(tmp_path, row_with):
    with closing(RowStore(tmp_path)) as opened:
        yield opened


def status(store: RowStore) -> dict[str, str]:
    return {row.id: row.status if row.rejection is None else row.rejection.reason for row in store.rows()}


def test_texts_that_nearly_repeat_are_twins_and_others_are_not():
    with closing(Signatures()) as seen:
        assert [seen.twin(f"r{n}", text_of(n)) for n in range(200)] == [None] * 200
        for n in range(0, 200, 20):
            assert seen.twin("again", text_of(n)) == f"r{n}"
            assert seen.twin("again", text_of(n).upper().replace(" ", "  ")) == f"r{n}"
            assert seen.twin("again", with_changes(text_of(n), 0.02)) == f"r{n}"
        assert seen.twin("new", with_changes(text_of(3), 0.5)) is None


def test_chinese_answers_are_compared_too():
    said = "请先把花盆移到阴凉处，再慢慢浇水，等土壤完全湿透以后再放回窗台上，每三天重复一次就好。"
    with closing(Signatures()) as seen:
        assert seen.twin("a", said) is None
        assert seen.twin("b", said.replace("就好", "即可")) == "a"
        assert seen.twin("c", "明天的天气很好，我们一起去公园散步，顺便买一些新鲜的水果和蔬菜回家做饭吧。") is None


def test_short_right_answers_may_be_alike():
    with closing(Signatures()) as seen:
        assert seen.twin("a", "Yes, it is.") is None
        assert seen.twin("b", "Yes, it is.") is None


def test_the_first_in_the_input_stays_whichever_was_finished_first(store, row_with):
    for position in (2, 1, 0, 3):
        final = text_of(9) if position < 3 else text_of(10)
        store.keep_row(position, row_with(id=f"r{position}", final=final))
    assert reject_duplicates(store) == 2
    assert status(store) == {"r0": "accepted", "r1": REASON, "r2": REASON, "r3": "accepted"}
    rejected = next(store.rows(row="r2"))
    assert rejected.rejection is not None
    assert rejected.rejection.stage == "duplicates"
    assert "r0" in rejected.rejection.detail


def test_a_second_pass_changes_nothing_and_a_row_that_came_later_in_front_takes_over(store, row_with):
    store.keep_row(1, row_with(id="r1", final=text_of(9)))
    store.keep_row(2, row_with(id="r2", final=text_of(9)))
    assert reject_duplicates(store) == reject_duplicates(store) == 1
    store.keep_row(0, row_with(id="r0", final=text_of(9)))
    assert reject_duplicates(store) == 2
    assert status(store) == {"r0": "accepted", "r1": REASON, "r2": REASON}


def test_rows_rejected_for_other_reasons_are_no_originals(store, row_with):
    from constitution.row import Rejection

    bad = Rejection(stage="checks", reason="evasive")
    store.keep_row(0, row_with(id="r0", final=text_of(9), status="rejected", rejection=bad))
    store.keep_row(1, row_with(id="r1", final=text_of(9)))
    assert reject_duplicates(store) == 0
    assert status(store) == {"r0": "evasive", "r1": "accepted"}
