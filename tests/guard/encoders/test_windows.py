"""Windows: they cover every character, overlap, and fit the encoder."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from guard.encoders.source import find
from guard.encoders.windows import by_bytes, windows

LIMIT = 64
PLAIN = ["the", "unbelievable", "antidisestablishmentarianism", "a1b2c3d4e5f6g7h8i9", "__init__", "...", "x" * 70]
OTHER = ["长城", "привет", "naïve", "🙂", "👩‍👧", "\u200b", "\n", "ﷺ", "e\u0301", "한국어", "\ud800", "ΑΒΓ"]
WORDS = st.sampled_from([*PLAIN, *OTHER])


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    made = Tokenizer.from_file(str(find("default").folder / "tokenizer.json"))
    made.no_truncation()
    made.no_padding()
    return made


def offsets_of(tokenizer: Tokenizer):
    return lambda text: tokenizer.encode(text, add_special_tokens=False).offsets


@settings(max_examples=60, deadline=None)
@given(words=st.lists(st.one_of(WORDS, st.text(max_size=12)), max_size=300), gap=st.sampled_from([" ", "", "  \t"]))
def test_windows_cover_the_text_overlap_and_fit(tokenizer: Tokenizer, words: list[str], gap: str):
    text = gap.join(words)
    spans = windows(text, LIMIT, offsets_of(tokenizer))
    if not text.strip():
        assert spans == []
        return
    assert spans[0][0] == 0
    assert spans[-1][1] == len(text)
    for (start, end), (following, beyond) in pairwise(spans):
        assert start < following < end < beyond
    for start, end in spans:
        piece = text[start:end].encode("utf-8", "replace").decode()
        assert len(tokenizer.encode(piece).ids) <= LIMIT


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=400), st.integers(1, 40))
def test_without_a_tokenizer_each_window_has_no_more_bytes_than_the_limit(text: str, limit: int):
    spans = windows(text, limit, by_bytes)
    if text.strip():
        assert (spans[0][0], spans[-1][1]) == (0, len(text))
        assert all(following <= end for (_, end), (following, _) in pairwise(spans))


def test_a_long_text_is_tokenized_once_and_in_pieces(tokenizer: Tokenizer):
    seen: list[int] = []

    def counted(text: str) -> list[tuple[int, int]]:
        seen.append(len(text))
        return tokenizer.encode(text, add_special_tokens=False).offsets

    text = "Seven small boats lay in the harbour of the old town. " * 20_000
    spans = windows(text, 256, counted)
    assert sum(seen) == len(text)
    assert max(seen) <= 1 << 16
    assert spans[-1][1] == len(text)
    assert sum(end - start for start, end in spans) < 1.5 * len(text)


def test_pieces_make_no_difference_to_words(tokenizer: Tokenizer):
    text = "Seven small boats lay in the harbour of the old town. " * 3000
    at_once = tokenizer.encode(text, add_special_tokens=False).offsets
    spans = windows(text, 256, offsets_of(tokenizer))
    starts, ends = {start for start, _ in at_once}, {end for _, end in at_once}
    assert all(start in starts for start, _ in spans)
    assert all(end in ends for _, end in spans[:-1])


def test_a_window_starts_at_a_word_where_one_is_near(tokenizer: Tokenizer):
    text = "antidisestablishmentarianism unbelievably hyperventilating " * 100
    for start, _ in windows(text, LIMIT, offsets_of(tokenizer))[1:]:
        assert text[start - 1] == " "


def test_a_text_without_a_single_space_is_covered(tokenizer: Tokenizer):
    text = "0123456789" * 30_000
    spans = windows(text, 256, offsets_of(tokenizer))
    assert (spans[0][0], spans[-1][1]) == (0, len(text))
