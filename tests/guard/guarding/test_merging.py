"""One coverage out of many."""

from __future__ import annotations

from guard.guarding.merging import Merger, merge
from guard.verdict import Coverage


def test_what_was_scanned_anywhere_is_scanned():
    prompt = Coverage({"patterns": ("a",), "meaning": ("a", "b")}, {"c": "it does not watch the prompt"})
    answer = Coverage({"patterns": ("a", "c")}, {"b": "it does not watch the response", "d": "no detector"})
    merged = merge([prompt, answer])
    assert merged.scanned == {"patterns": ("a", "c"), "meaning": ("a", "b")}
    assert merged.not_scanned == {"d": "no detector"}


def test_all_that_failed_or_was_left_out_is_told():
    one = Coverage(degraded={"judge": "late"}, partial={"patterns": "deep"})
    other = Coverage(degraded={"judge": "gone", "meaning": "no file"}, partial={"patterns": "deep"})
    merged = merge([one, other])
    assert merged.degraded == {"judge": "late; gone", "meaning": "no file"}
    assert merged.partial == {"patterns": "deep"}
    assert merge([]) == Coverage()


def test_the_usual_ones_are_merged_once():
    merger = Merger()
    one, other = Coverage({"patterns": ("a",)}), Coverage({"patterns": ("b",)})
    assert merger.merge([one]) is one
    assert merger.merge([one, other]) is merger.merge([one, other])
    assert merger.merge([other, one]).scanned == {"patterns": ("b", "a")}
    failed = Coverage(degraded={"judge": "gone"})
    assert merger.merge([one, failed]) is not merger.merge([one, failed])


def test_what_is_remembered_is_bounded():
    merger = Merger()
    one = Coverage({"patterns": ("a",)})
    for number in range(1000):
        merged = merger.merge([one, Coverage({"patterns": (str(number),)})])
        assert merged.scanned == {"patterns": ("a", str(number))}
    assert len(merger._known) <= 128
