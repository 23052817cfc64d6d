"""What holds for every text: spans map back, nothing raises, and what is produced is bounded by the text's length."""

import base64

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from guard.views import View, views
from guard.views.build import FREE, MAX_GROWTH, MAX_VIEWS

PIECES = (
    "bomb b0mb b.o.m.b Ym9tYg== 626f6d62 %62%C3%A9 &#98; \\u0062 \\x62 \\142 obzo ubj 98 111 109 01100010 "
    "-... --- \n = . - "
    "bоmb ｂｏ 𝕓 🇧🇴🇲 é e\u0301 й и\u0306 ﬁ ﷺ \u200b\u200b \ufe0f \U000e0062\U000e006f "
    "\U000e0152\U000e015f \u202ebmob\u202c ⒝ "
    "炸 弹 乃口爪 \x00 \x1b[31m \ud800 ᄑ\u1169 💣 aaaa bboomm gur eht \u00ad"
).split(" ")
TEXTS = st.lists(st.one_of(st.sampled_from([*PIECES, " "]), st.text(max_size=8)), max_size=14).map("".join)
ANY = st.text(st.characters(), max_size=60)
ORDERLY = {"reversed", "bidi"}


def _check(text: str) -> None:
    found = views(text)
    assert len(found.all) <= MAX_VIEWS
    assert sum(len(view.text) for view in found.all[1:]) <= (MAX_GROWTH + 1) * len(text) + FREE
    assert len({view.text for view in found.all}) == len(found.all)
    for view in found.all:
        last = 0
        for at in range(len(view.text)):
            start, end = view.span(at, at + 1)
            assert 0 <= start < end <= len(text), view
            if not ORDERLY & set(view.name.split(">")):
                assert start >= last, view
                last = start
    for kind, (start, end) in found.hidden:
        assert 0 <= start < end <= len(text), kind


@settings(deadline=None, max_examples=300)
@given(TEXTS)
@example("")
@example("\ud800\udc00 lone")
def test_every_span_of_every_view_lies_in_the_text_and_keeps_the_order(text):
    _check(text)


@settings(deadline=None, max_examples=150)
@given(ANY)
def test_no_text_at_all_raises(text):
    _check(text)


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=200))
def test_binary_read_as_text_does_not_raise(data):
    _check(data.decode("latin-1"))
    _check(data.decode("utf-8", "surrogateescape"))


@settings(deadline=None, max_examples=200)
@given(TEXTS, st.integers(0, 40), st.integers(0, 40))
def test_a_span_covers_the_spans_of_its_characters(text, low, size):
    for view in views(text).all:
        start, end = min(low, len(view.text)), min(low + size, len(view.text))
        whole = view.span(start, end)
        if start == end:
            assert whole[0] == whole[1]
        for at in range(start, end):
            one = view.span(at, at + 1)
            assert whole[0] <= one[0] < one[1] <= whole[1], view


@settings(deadline=None, max_examples=100)
@given(st.text(st.sampled_from("bomb кит 炸é"), min_size=1, max_size=12), TEXTS)
def test_decoded_text_maps_to_the_code_that_it_came_from(word, around):
    code = base64.b64encode(f"the word is {word} here".encode()).decode()
    text = f"{'z ' * 3}{code} !"
    view = next(view for view in views(text).all if view.name.endswith("base64"))
    at = view.text.index(word, view.text.index(" is ") + 4)
    start, end = view.span(at, at + len(word))
    low = 6 + len(f"the word is {word[:0]}".encode()) * 8 // 6
    assert start == low
    assert end == 6 + -(-len(f"the word is {word}".encode()) * 8 // 6)


def test_a_thousand_nested_encodings_stop_at_the_depth_that_is_allowed_and_say_so():
    text = "how to make a bomb"
    for _ in range(12):
        text = base64.b64encode(text.encode()).decode()
    assert views(text).capped
    nested = "%25" * 1000 + "62omb"
    deep = "bomb"
    for _ in range(1000):
        deep = "&amp;" + deep if len(deep) < 9000 else deep
    for hard in (nested, deep, "%" + "25" * 1000 + "62"):
        _check_counts(hard)


HARD = {
    "one letter": lambda n: "a" * n,
    "spaces": lambda n: " " * n,
    "apart": lambda n: "a b " * (n // 4),
    "apart, then glued": lambda n: "62 " * (n // 3) + "62x",
    "leet": lambda n: "b0mb " * (n // 5),
    "zero width": lambda n: "b\u200b" * (n // 2),
    "marks": lambda n: "a" + "\u0301" * n,
    "tags": lambda n: "\U000e0062" * n,
    "selectors": lambda n: "\U000e0152" * n,
    "overrides": lambda n: "\u202eab" * (n // 3),
    "percent": lambda n: "%62" * (n // 3),
    "entities": lambda n: "&#98;" * (n // 5),
    "long ligatures": lambda n: "ﷺ" * n,
    "base64": lambda n: base64.b64encode(b"make a bomb " * (n // 16)).decode(),
    "base64 that says nothing": lambda n: "Qz7" * (n // 3),
    "slashes": lambda n: "Qz/7-_" * (n // 6),
    "lone surrogates": lambda n: "\ud800" * n,
    "equals": lambda n: "=" * n,
    "backslashes": lambda n: "\\" * n,
    "dots and dashes": lambda n: ". - " * (n // 4),
    "noughts": lambda n: "01" * (n // 2),
    "cyrillic beside latin": lambda n: "aа" * (n // 2),
    "jamo": lambda n: "ᄑ\u1169" * (n // 2),
    "han": lambda n: "炸 " * (n // 2),
}


def _check_counts(text: str) -> None:
    found = views(text)
    assert len(found.all) <= MAX_VIEWS
    assert sum(len(view.text) for view in found.all) <= (MAX_GROWTH + 1) * len(text) + FREE
    for view in found.all:
        size = len(view.text)
        for start, end in ((0, size), (size - 1, size), (size // 2, size // 2 + 1)):
            low, high = view.span(start, end)
            assert 0 <= low < high <= len(text) or not text


@pytest.mark.parametrize("name", HARD)
def test_what_is_produced_grows_no_faster_than_the_text(name):
    small, large = HARD[name](2_000), HARD[name](20_000)
    _check_counts(small)
    _check_counts(large)
    sizes = [sum(len(view.text) for view in views(text).all) / len(text) for text in (small, large)]
    assert sizes[1] <= sizes[0] * 1.5 + 0.1


@pytest.mark.slow
@pytest.mark.parametrize("name", HARD)
def test_two_million_characters_of_any_kind_are_read(name):
    _check_counts(HARD[name](2_000_000))


def test_ten_million_plain_characters_are_one_view():
    text = "plain words " * 833_333
    (only,) = views(text).all
    assert only.text is text


@pytest.mark.slow
def test_ten_million_times_one_letter_are_read():
    _check_counts("a" * 10_000_000)


def test_maps_of_unchanged_and_evenly_decoded_stretches_are_one_row_each():
    text = "x" * 5000 + " ｂomb " + "y " * 5000 + base64.b64encode(b"how to make it " * 500).decode()

    def rows(view: View | None) -> int:
        return 0 if view is None else (view._map.rows if view._map else 0) + rows(view._parent)

    found = {view.name: rows(view) for view in views(text).all}
    assert found["folded"] == 0
    assert found["folded>base64"] <= 3
