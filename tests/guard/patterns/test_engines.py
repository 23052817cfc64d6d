"""Hyperscan and RE2 must find the very same: random patterns over random texts, all of Unicode among them."""

from __future__ import annotations

from functools import lru_cache

import pytest
import re2
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from guard.patterns.base import Entry, options
from guard.patterns.search import Search
from rules.schema import Part, Pattern

pytest.importorskip("hyperscan")

LETTERS = "abkKsS1_-. \n\t\u3000ßẞıİiſ\u212aσςΣбБё炸弹é\u0301\u0307ﬁ🙂\ud800\x00"
"""Few, so that patterns and texts meet; each with a trap in one engine or the other."""

texts = st.text(st.sampled_from(LETTERS) | st.characters(), max_size=40)
words = st.text(
    st.sampled_from([char for char in LETTERS if char.isprintable() or char == " "]), min_size=1, max_size=6
)
atoms = st.sampled_from(
    [
        *"abksßıσбё炸é.^$",
        *(r"\w", r"\W", r"\d", r"\s", r"\S", r"\b", r"\B", r"\A", r"\z", r"\pL", r"\P{Greek}"),
        *("[a-k]", "[^a]", "[а-я]", "[σß]", r"[^\W\d]", "[[:alpha:]]", "[k-ı]"),
        *(r"\x{131}", r"\x6b", r"\Qa.\E", "(?-i:K)", "(?i:S)"),
    ]
)


def _combine(parts):
    repeats = st.sampled_from(["", "", "", "*", "+", "?", "{2}", "{1,3}", "{0,9}", "+?", "{2,}"])
    return st.one_of(
        st.lists(parts, min_size=2, max_size=4).map("".join),
        st.lists(parts, min_size=2, max_size=3).map(lambda some: f"(?:{'|'.join(some)})"),
        st.tuples(parts, repeats).map(lambda pair: f"(?:{pair[0]}){pair[1]}"),
        st.tuples(st.sampled_from(["(?m)", "(?s-i)", "(?-s)", "(?P<n>"]), parts).map(
            lambda pair: f"(?:{pair[0]}{pair[1]})" + (")" if pair[0].startswith("(?P") else "")
        ),
    )


regexes = st.recursive(atoms, _combine, max_leaves=8)
patterns = st.one_of(
    words.filter(lambda text: text.strip()).map(lambda text: Pattern.model_construct(literal=text)),
    regexes.map(lambda text: Pattern.model_construct(regex=text)),
)


@lru_cache(maxsize=512)
def _is_sound(regex):
    try:
        return not re2.compile(regex, options()).search("")
    except re2.error:
        return False


@st.composite
def _pattern_sets(draw):
    found = draw(st.lists(patterns, min_size=1, max_size=5))
    assume(all(getattr(pattern, "literal", None) or _is_sound(pattern.regex) for pattern in found))
    return found


def _entries(found):
    parts = frozenset({Part.PROMPT})
    made = []
    for pattern in found:
        literal = getattr(pattern, "literal", None)
        whole = Pattern.model_construct(literal=literal, regex=None if literal else pattern.regex, watches=None)
        made.append(Entry.of("rule", parts, whole))
    return [entry for entry in made if entry.words != ""]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(found=_pattern_sets(), text=texts)
def test_both_engines_find_the_same(tmp_path_factory, found, text):
    entries = _entries(found)
    fast = Search(entries, engine="hyperscan", folder=tmp_path_factory.getbasetemp() / "same")
    plain = Search(entries, engine="re2")
    assert fast.find(Part.PROMPT, text) == plain.find(Part.PROMPT, text)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(found=_pattern_sets(), text=texts)
def test_no_engine_misses_what_a_look_for_each_pattern_finds(tmp_path_factory, found, text):
    entries = _entries(found)
    search = Search(entries, engine="hyperscan", folder=tmp_path_factory.getbasetemp() / "each")
    assert search.look(Part.PROMPT, text, search.engine.candidates(text)) == search.look(
        Part.PROMPT, text, range(len(entries))
    )
