"""Masks: nothing of what was found is left, and everything else stands where it stood."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.exchange import Exchange
from guard.guarding.masking import mask_spans, merge_spans
from guard.window import Channel

TEXT, TOOL = Channel(), Channel("tool")
SECRETS = ["alpha seven", "seven nine", "炸弹", "Ωmega", "nine"]
PIECES = st.one_of(st.sampled_from(SECRETS), st.text(' abcΩ炸.,\n"\\{}é🙂', max_size=6))


def naive(text, spans, mask):
    """Letter by letter: what a span covers is left out, and each run of covered letters is one mask."""
    said, covered = [], False
    for place, letter in enumerate(text):
        inside = any(start <= place < end for start, end in spans)
        if inside and not covered:
            said.append(mask)
        if not inside:
            said.append(letter)
        covered = inside
    return "".join(said)


@given(st.text(max_size=40), st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=6))
def test_masks_stand_for_the_spans_and_nothing_else_moves(text, pairs):
    spans = [(min(pair), min(max(pair), len(text))) for pair in pairs]
    spans = [span for span in spans if span[0] < span[1]]
    masked = mask_spans(text, spans, "[x]", TEXT)
    assert masked == (naive(text, spans, "[x]") if spans else None)


def test_spans_that_overlap_or_touch_are_one():
    assert merge_spans([(5, 9), (0, 3), (3, 4), (6, 7), (8, 12), (2, 2)]) == [(0, 4), (5, 12)]


@given(
    st.dictionaries(st.text(max_size=5), st.one_of(st.text(max_size=8), st.integers(), st.booleans(), st.none())),
    st.lists(st.tuples(st.integers(0, 80), st.integers(0, 80)), min_size=1, max_size=5),
    st.booleans(),
)
def test_json_stays_json_whatever_is_masked(value, pairs, ascii_only):
    text = json.dumps(value, ensure_ascii=ascii_only)
    spans = [(min(pair), min(max(pair), len(text))) for pair in pairs]
    masked = mask_spans(text, [span for span in spans if span[0] < span[1]], 'a "mask"', TOOL)
    if masked is not None:
        assert isinstance(json.loads(masked), dict)


@pytest.mark.parametrize(
    ("text", "span", "masked"),
    [
        (r'{"a": "x\u0041y"}', (10, 12), r'{"a": "x[x]y"}'),
        (r'{"a": "x\ud83d\ude00y"}', (15, 16), r'{"a": "x[x]y"}'),
        (r'{"a": "x\\y"}', (9, 10), r'{"a": "x[x]y"}'),
        ('{"a": 4111, "b": true}', (7, 8), '{"a": "[x]", "b": true}'),
        ('{"a": "one", "b": "two"}', (8, 20), '{"a": "o[x]", "[x]": "[x]wo"}'),
        ('{"a": {}}', (6, 8), None),
        ('{"a": not json', (6, 9), '{"a": [x] json'),
    ],
)
def test_masks_fit_into_json(text, span, masked):
    assert mask_spans(text, [span], "[x]", TOOL) == masked


@pytest.fixture(scope="module")
def redacting(guard_of, kit):
    """A guard that masks the secrets with a sign that no text here holds."""
    return guard_of(kit.rule("code", "|".join(SECRETS), "redact"), mask="#")


@given(st.lists(PIECES, max_size=12))
@settings(deadline=None)
def test_a_redacted_prompt_holds_no_secret_and_all_that_is_none(redacting, kit, pieces):
    text = "".join(pieces)
    watch = redacting.watch(kit.asks(text))
    admission = asyncio.run(watch.admit())
    findings = [placed.finding for placed in watch.decision().findings]
    if not findings:
        assert admission.edits == {}
        return
    edited = admission.edits[0, TEXT]
    assert not redacting.gate.judge(Exchange.of(edited)).findings
    once = naive(text, [finding.span for finding in findings], "#")
    # Only what masks bring to light is masked in a second pass.
    assert edited == once or redacting.gate.judge(Exchange.of(once)).findings
