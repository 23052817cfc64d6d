"""What is new: ROUGE-L against its definition by the plain table, and the pool."""

from __future__ import annotations

import random

import pytest

from constitution.probing.novelty import Pool, rouge_l, tokens_of


def by_table(left: list[str], right: list[str]) -> int:
    row = [0] * (len(right) + 1)
    for one in left:
        before = row[:]
        for place, other in enumerate(right):
            row[place + 1] = before[place] + 1 if one == other else max(before[place + 1], row[place])
    return row[-1]


def test_rouge_is_the_f1_of_the_longest_common_subsequence():
    draw = random.Random(3)
    for _ in range(300):
        left, right = ([draw.choice("abcd") for _ in range(draw.randrange(90))] for _ in range(2))
        common, lengths = by_table(left, right), len(left) + len(right)
        assert rouge_l(left, right) == pytest.approx(2 * common / lengths if common else 0.0)


def test_rouge_is_one_for_the_same_words_and_nought_for_none_in_common():
    assert rouge_l(tokens_of("How do I?"), tokens_of("how do i")) == 1
    assert rouge_l(tokens_of("how do I"), tokens_of("what is that")) == 0
    assert rouge_l((), ()) == 0
    assert rouge_l(tokens_of("a b c d"), tokens_of("a x c")) == 2 * 2 / 7


def test_chinese_is_compared_character_by_character():
    assert tokens_of("怎样打开 lock 锁") == ("怎", "样", "打", "开", "lock", "锁")


def test_the_nearest_of_a_pool_is_named():
    pool = Pool()
    assert pool.nearest("anything").rouge_like is None
    pool.extend([("one", "how do I mend a kettle"), ("two", "what is a saddle")])
    found = pool.nearest("how do I mend a kettle now")
    assert (found.rouge_like, found.cosine) == ("one", None)
    assert found.rouge > 0.9
    assert pool.has_like("what is a saddle", 1.0)
    assert not pool.has_like("who are you", 0.5)


def test_meaning_is_compared_where_the_encoder_reads_the_script(small_encoder, cache_of_the_run):
    from contextlib import closing

    from guard.encoders import open_encoder

    with closing(open_encoder(str(small_encoder), backend="torch")) as encoder:
        pool = Pool(encoder)
        pool.add("one", "how do I mend a kettle")
        same = pool.nearest("how do I mend a kettle")
        assert same.cosine is not None
        assert same.cosine > 0.999
        assert same.cosine_like == "one"
        assert pool.nearest("怎样修理一把水壶呢").cosine is None
        assert pool.nearest("mend a ladder " * 200).cosine is not None  # longer than the encoder's limit
