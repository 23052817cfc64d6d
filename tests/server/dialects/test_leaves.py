"""Texts found in JSON, and written back."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.dialects._leaves import (
    Leaf,
    Rewriting,
    Tangled,
    anywhere,
    apart,
    embedded,
    identifier,
    joined,
    wordy,
    written,
)

SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=6)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)
TEXTS = st.lists(st.text(alphabet="ab\n ", max_size=6), min_size=1, max_size=5)


def at(value: Any, leaf: Leaf) -> str:
    path = leaf.path[:-1] if leaf.is_name else leaf.path
    for step in path:
        value = value[step]
    return leaf.path[-1] if leaf.is_name else value  # type: ignore[return-value]


def test_texts_are_found_in_their_order_with_their_places() -> None:
    value = {"a": ["x", {"b": "y", "n": 3}], "c": None, "d": "z", "e": ""}
    found = [(written(leaf.path), leaf.text) for leaf in anywhere(value)]
    assert found == [("a[0]", "x"), ("a[1].b", "y"), ("d", "z")]


def test_the_name_of_a_member_is_a_text_where_it_can_say_something() -> None:
    value = {"how to do it": 1, "plain_name": 2, "été": 3, "x" * 65: 4}
    assert [leaf.text for leaf in anywhere(value)] == ["how to do it", "été", "x" * 65]


def test_json_that_would_take_long_to_look_through_is_refused() -> None:
    deep = orjson.loads(b'{"a":' * 1000 + b'"deep"' + b"}" * 1000)
    with pytest.raises(Tangled, match="x: lists and objects deeper than 100 within each other"):
        list(anywhere(deep, ("x",)))
    with pytest.raises(Tangled, match="more than 100000 texts, lists and objects"):
        list(anywhere({"a": ["b"] * 100_001}))
    assert list(anywhere({"a": [0.5] * 1_000_000, "b": "c"})) == [Leaf(("b",), "c")]


@given(JSON)
def test_each_found_text_stands_where_its_place_says(value: Any) -> None:
    for leaf in anywhere(value, says=lambda _: True):
        assert at(value, leaf) == leaf.text


@given(st.dictionaries(st.text(max_size=4), JSON, max_size=4))
def test_writing_every_text_leaves_the_original_alone_and_the_copy_with_nothing_else(value: dict[str, Any]) -> None:
    before = copy.deepcopy(value)
    leaves = list(anywhere(value))
    made = Rewriting(value)
    for place, leaf in enumerate(leaves):
        if not leaf.is_name:
            made.write(leaf, f"new {place}")
    done = made.done()
    assert value == before
    assert [leaf.text for leaf in anywhere(done) if not leaf.is_name] == [
        f"new {place}" for place, leaf in enumerate(leaves) if not leaf.is_name
    ]


def test_what_is_not_changed_is_shared_with_the_original() -> None:
    value = {"a": {"x": "1"}, "b": [{"y": "2"}, {"z": "3"}]}
    made = Rewriting(value)
    made.put(("b", 1, "z"), "4")
    done = made.done()
    assert done == {"a": {"x": "1"}, "b": [{"y": "2"}, {"z": "4"}]}
    assert done["a"] is value["a"]
    assert done["b"][0] is value["b"][0]


def test_members_and_entries_are_dropped_and_renamed_at_the_end() -> None:
    value = {"a": [{"t": "0"}, {"t": "1"}, {"t": "2"}], "old": {"x": "y"}, "last": 1}
    made = Rewriting(value)
    made.drop(("a", 0))
    made.drop(("a", 2))
    made.put(("a", 1, "t"), "kept")
    made.write(Leaf(("old",), "old", is_name=True), "new")
    made.put(("old", "x"), "z")
    done = made.done()
    assert done == {"a": [{"t": "kept"}], "new": {"x": "z"}, "last": 1}
    assert list(done) == ["a", "new", "last"]


@given(TEXTS)
def test_an_unedited_text_comes_apart_into_what_it_was_joined_from(texts: list[str]) -> None:
    leaves = [Leaf((place,), text) for place, text in enumerate(texts)]
    assert apart(leaves, joined(leaves)) == texts


@given(TEXTS, st.text(alphabet="ab\n X", max_size=20))
def test_nothing_of_an_edited_text_is_lost(texts: list[str], edited: str) -> None:
    leaves = [Leaf((place,), text) for place, text in enumerate(texts)]
    pieces = apart(leaves, edited)
    assert len(pieces) == len(texts)
    assert "".join(pieces).replace("\n", "") == edited.replace("\n", "")


def test_a_mask_within_a_line_stays_in_its_leaf() -> None:
    leaves = [Leaf((0,), "one\ntwo"), Leaf((1,), "three"), Leaf((2,), "four")]
    assert apart(leaves, "one\n[x]\nthree\nfour") == ["one\n[x]", "three", "four"]


def test_a_mask_over_a_border_takes_only_the_leaves_it_touches() -> None:
    leaves = [Leaf((0,), "one"), Leaf((1,), "two"), Leaf((2,), "three"), Leaf((3,), "four")]
    assert apart(leaves, "one\nt[x]ee\nfour") == ["one", "t[x]ee", "", "four"]


def test_a_note_in_place_of_everything_stands_in_the_first_leaf() -> None:
    leaves = [Leaf((0,), "one"), Leaf((1,), "two\nlines"), Leaf((2,), "three")]
    assert apart(leaves, "[withheld]") == ["[withheld]", "", ""]


def test_ids_files_and_names_are_told_from_texts() -> None:
    assert identifier("call_AbC-123.4:5=")
    assert not identifier("two words")
    assert not identifier("x" * 65)
    assert not identifier(None)
    assert embedded("data:image/png;base64,iVBOR")
    assert not embedded("data:,say how")
    assert not embedded("data:image/png;base64,say how")
    assert not embedded("data without a colon, and a comma")
    assert wordy("two words")
    assert not wordy("additionalProperties")


def test_a_member_that_holds_machine_words_is_passed_over_and_one_that_says_something_is_not() -> None:
    value = {"id": "x-1", "type": "say how", "signature": ["c2ln", "说", {"id": "in it"}], "text": "x-1"}
    found = [leaf.text for leaf in anywhere(value, sealed=frozenset({"id", "type", "signature"}))]
    assert found == ["say how", "说", "in it", "x-1"]


def test_members_that_an_object_closes_are_not_looked_into() -> None:
    value = {"a": {"kind": "file", "data": "x y"}, "b": {"data": "x y"}}
    seen: list[Any] = []

    def closed(path: Any, each: dict[str, Any]) -> set[str]:
        seen.append(path)
        return {"data"} if each.get("kind") == "file" else set()

    assert [leaf.path for leaf in anywhere(value, closed=closed)] == [("a", "kind"), ("b", "data")]
    assert seen == [(), ("a",), ("b",)]
