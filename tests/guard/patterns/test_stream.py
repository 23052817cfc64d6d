"""A stream says what the whole text would have said, wherever it is cut."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guard.patterns.base import Entry
from guard.patterns.search import Search
from guard.patterns.stream import REACH, PatternStream
from rules.schema import Part, Pattern

PARTS = frozenset({Part.RESPONSE})


@pytest.fixture(params=["hyperscan", "re2"], scope="module")
def engine(request):
    if request.param == "hyperscan":
        pytest.importorskip("hyperscan")
    return request.param


@pytest.fixture(scope="module")
def search(engine, tmp_path_factory):
    """A search for some patterns; an expression begins with `/`."""

    def make(*patterns):
        found = [
            Pattern(regex=text[1:], literal=None) if text.startswith("/") else Pattern(literal=text)
            for text in patterns
        ]
        entries = [Entry.of(pattern.literal or pattern.regex, PARTS, pattern) for pattern in found]
        return Search(entries, engine=engine, folder=tmp_path_factory.getbasetemp() / "streams")

    return make


def feed(search, chunks):
    """All hits of a stream, each with the number of characters that had come when it was told."""
    stream = PatternStream(search, Part.RESPONSE)
    told = []
    for chunk in chunks:
        told += [(hit, stream.length) for hit in stream.feed(chunk)]
    return told + [(hit, stream.length) for hit in stream.close()]


def cut(text, *places):
    return [text[start:end] for start, end in zip((0, *places), (*places, len(text)), strict=True)]


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("pipe bomb", "a pipe \n\u3000 bomb, so"),
        ("бомба", "это БОМБА!"),
        ("炸弹", "怎么做炸弹啊"),
        ("straße", "die STRASSE da"),
        ("strasse", "die Straße da"),
        ("istanbul", "in İSTANBUL now"),
        (r"/\bthermite\b.{0,40}\b(make|mix)\b", "thermite, 🙂\nhow to mix it"),
        (r"/kill (him|her)", "\u212aill her"),
        (r"/^so bomb$", "so bomb"),
        (r"/\d{3}-\d{2}-\d{4}", "id 123-45-6789"),
    ],
)
def test_a_pattern_broken_over_any_two_borders_is_found(search, pattern, text):
    scan = search(pattern)
    (whole,) = scan.find(Part.RESPONSE, text)
    for places in combinations(range(1, len(text)), 2):
        hits = feed(scan, cut(text, *places))
        assert [hit.span for hit, _ in hits][-1:] == [(whole.start, whole.end)], places
    assert [hit.span for hit, _ in feed(scan, text)][-1:] == [(whole.start, whole.end)]


@pytest.mark.parametrize(
    ("pattern", "text"),
    [("bomb", "bombast"), ("bomb", "abomb"), (r"/\bbomb\b", "bombs"), (r"/bomb$", "bomb."), (r"/^bomb", "a bomb")],
)
def test_what_only_looked_like_a_hit_at_a_border_is_not_told(search, pattern, text):
    scan = search(pattern)
    for place in range(1, len(text)):
        assert feed(scan, cut(text, place)) == []


def test_a_hit_that_lies_at_the_end_of_the_stream_is_told_when_it_closes(search):
    stream = PatternStream(search("bomb"), Part.RESPONSE)
    assert stream.feed("a bomb") == []
    assert [hit.span for hit in stream.close()] == [(2, 6)]


def test_a_start_of_line_far_into_a_stream_is_not_the_start_of_the_text(search):
    scan = search("/^bomb", r"/(?m)^boom")
    chunks = ["bomb " + "x" * 20, *["padding and padding "] * 200, "bomb\nboom"]
    assert [hit.rule for hit, _ in feed(scan, chunks)] == ["^bomb", "(?m)^boom"]


def test_every_hit_of_a_long_stream_is_told_once_at_its_place(search):
    text = "one bomb and nothing else for a while, " * 400
    hits = feed(search("bomb"), [text[at : at + 7] for at in range(0, len(text), 7)])
    assert [hit.span[0] for hit, _ in hits] == list(range(4, len(text), 39))


def test_a_growing_hit_is_told_again_with_its_new_end(search):
    hits = feed(search("/a.*b"), ["xab", "cc", "cb", "d"])
    assert [hit.span for hit, _ in hits] == [(1, 3), (1, 7)]


@pytest.mark.parametrize("gap", [0, REACH // 2, REACH - 2])
def test_a_pattern_without_an_end_is_found_as_far_as_the_reach(search, gap):
    text = "-" * 3000 + "a" + " x" * (gap // 2) + "b" + "." * 50
    hits = feed(search("/a.*b"), [text[at : at + 11] for at in range(0, len(text), 11)])
    assert [hit.span for hit, _ in hits] == [(3000, 3002 + 2 * (gap // 2))]


def test_what_is_kept_does_not_grow_with_the_stream(search):
    stream = PatternStream(search("bomb", "/a.*b"), Part.RESPONSE)
    for _ in range(3000):
        stream.feed("some words ")
    assert len(stream._text) <= REACH + 1
    assert stream.length == 33_000


def test_a_disguised_word_is_found_in_a_stream(search):
    text = "so here is how to make a b.o.m.b at home, my friend"
    for size in (1, 3, 8):
        hits = feed(search("bomb"), [text[at : at + size] for at in range(0, len(text), size)])
        assert [(text[slice(*hit.span)], hit.view != "raw") for hit, _ in hits] == [("b.o.m.b", True)]


def test_the_tail_covers_every_hit_that_is_still_to_come(search):
    scan = search("pipe bomb", r"/\bmake\b.{0,12}\bmines?\b", r"/\d{3}-\d{4}")
    text = "pipe \n\n   bomb make some big mines 123-4567 pipe. pipe  bomb" + " " * 20
    stream, settled = PatternStream(scan, Part.RESPONSE), 0
    for char in text:
        for hit in stream.feed(char):
            assert hit.span[0] >= settled
        settled = max(settled, stream.length - stream.tail)
    assert settled > 30


def test_a_wide_gap_holds_text_from_its_beginning_on_and_no_longer_than_its_longest_hit(search):
    stream = PatternStream(search(r"/\bmake\b.{0,300}\bmines\b"), Part.RESPONSE)
    stream.feed("nothing of this kind " * 20)
    assert stream.tail == 0
    stream.feed("so make it ")
    assert stream.tail == len("make it ")
    stream.feed("of wood, " * 20)
    assert stream.tail == len("make it ") + 20 * len("of wood, ")
    stream.feed("of stone, " * 20)
    assert stream.tail == 0


@pytest.mark.parametrize("gap", [7, 8, 9, 60, 250, 400])
def test_the_tail_covers_the_widest_hit_of_a_gap(search, gap):
    scan = search(*(rf"/\b{word}\b.{{0,{gap}}}\bmines\b" for word in ("make", "made", "laid")))
    head = "they say that they made"
    stream = PatternStream(scan, Part.RESPONSE)
    for char in head + " " + "x" * (gap - 2) + " ":
        stream.feed(char)
    assert stream.length - stream.tail <= head.index("made")
    assert [hit.span[0] for hit in stream.feed("mines.")] == [head.index("made")]


def test_the_tail_counts_a_run_of_spaces_in_a_literal_once(search):
    stream = PatternStream(search("pipe bomb"), Part.RESPONSE)
    stream.feed("so: pipe" + " " * 100)
    assert stream.tail >= 104
    assert [hit.span for hit in stream.feed("bomb.")] == [(4, 112)]


def test_a_search_without_patterns_streams_to_nothing(search):
    stream = PatternStream(search(), Part.RESPONSE)
    assert stream.feed("anything") == stream.close() == []
    assert stream.tail == 0


def test_a_stream_looks_only_for_patterns_that_watch_its_part(search):
    stream = PatternStream(search("bomb"), Part.REASONING)
    assert stream.feed("a bomb here") == []


WORDS = [
    "a",
    "ab",
    "b",
    " ",
    "  ",
    "\n",
    "a b",
    "ß",
    "ss",
    "σ",
    "Σ",
    "İ",
    "i",
    "\u0307",
    "\u212a",
    "k",
    "é",
    "炸",
    "-",
    "1",
]
PATTERNS = [
    "ab",
    "a b",
    "ss",
    "straße",
    "k i",
    "σ",
    "炸",
    r"/a.{0,3}b",
    r"/\bab\b",
    r"/(?:ab|a b)+",
    "/k[^a]",
    "/a$",
    r"/\d-",
]


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    patterns=st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=4, unique=True),
    chunks=st.lists(st.lists(st.sampled_from(WORDS), max_size=3).map("".join), max_size=12),
)
def test_a_stream_tells_every_hit_of_the_whole_text(search, patterns, chunks):
    scan, text = search(*patterns), "".join(chunks)
    whole = scan.look(Part.RESPONSE, text, range(len(scan.entries)))
    told = [hit for hit, _ in feed(scan, chunks) if hit.view == "raw"]
    spans = {(hit.rule, hit.span) for hit in told}
    assert {(scan.entries[hit.place].rule, (hit.start, hit.end)) for hit in whole} <= spans
    for hit in told:
        assert any(
            scan.entries[other.place].rule == hit.rule and other.start < hit.span[1] and hit.span[0] < other.end
            for other in whole
        )
