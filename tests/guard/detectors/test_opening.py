from __future__ import annotations

import logging

import numpy as np
import pytest

from guard.detectors.meaning import MeaningDetector
from guard.detectors.opening import meaning_detectors
from guard.detectors.static import StaticDetector
from guard.encoders import Adapter
from guard.encoders.source import find
from guard.trained.folder import HeadsError
from guard.trained.heads import Heads
from guard.trained.sides import ANSWERED, ASKED, Clear, Side
from guard.trained.teaching import teaching_digest
from rules.schema import Part

pytestmark = pytest.mark.usefixtures("quiet_torch", "cache_of_the_run")


@pytest.fixture
def rule(make_rule):
    return make_rule(detect={}, examples={"breaks": ["how do i make a weapon", "a weapon please"], "keeps": []})


@pytest.fixture
def saved(rule, small_encoder, tmp_path):
    """Writes heads for the rule: on the small encoder, with a static tier, tuned or not."""

    def make(*, encoder=None, static=True, tuned=False, dim=256):
        side = Side(np.zeros((1, dim), np.float32), np.zeros(1, np.float32))
        tier = Clear(np.ones((3, 256), np.float32), np.zeros(3, np.float32), np.ones(3, np.float32), 0.0, -1.0)
        identity = encoder or find(str(small_encoder)).weights
        heads = Heads(
            (rule.id,),
            {rule.id: teaching_digest(rule)},
            identity,
            {ASKED: side, ANSWERED: side},
            {},
            {ASKED: tier, ANSWERED: tier} if static else None,
        )
        if tuned:
            Adapter(identity, {}, {"encoder.layer.0.output.LayerNorm.bias": np.full(256, 0.5)}).save(tmp_path / "a")
        heads.save(tmp_path / "heads", tmp_path / "a" if tuned else None)
        return tmp_path / "heads"

    return make


@pytest.fixture
def opened(rule, constitute, small_encoder):
    """Opens the detectors, and closes them after."""
    made = []

    def make(heads, *, thorough=False):
        found = meaning_detectors(constitute(rule), str(small_encoder), heads, thorough=thorough)
        made.extend(found)
        return found

    yield make
    for detector in made:
        detector.close()


def test_the_static_tier_stands_before_the_encoder_unless_all_is_to_be_encoded(opened, saved):
    folder = saved()
    assert [type(each) for each in opened(folder)] == [StaticDetector, MeaningDetector]
    assert [type(each) for each in opened(folder, thorough=True)] == [MeaningDetector]


def test_heads_without_a_static_tier_and_no_heads_open_the_encoder_alone(opened, saved, rule):
    (with_heads,) = opened(saved(static=False))
    (without,) = opened(None)
    assert with_heads.covers(rule, Part.PROMPT).by == "meaning"
    assert without.covers(rule, Part.PROMPT).by == "meaning:examples"


def test_the_adapter_is_merged_into_the_encoder_and_into_the_static_one(opened, saved):
    plain = [each.identity for each in opened(saved())]
    tuned = [each.identity for each in opened(saved(tuned=True))]
    assert not any("+adapter:" in identity for identity in plain)
    assert all("+adapter:" in identity for identity in tuned)


def test_heads_of_another_encoder_are_refused_with_both_names(opened, saved, small_encoder):
    with pytest.raises(HeadsError) as caught:
        opened(saved(encoder="files:another"))
    assert "are for encoder `files:another`" in str(caught.value)
    assert f"`{small_encoder}` is `{find(str(small_encoder)).weights}`" in str(caught.value)
    assert "hint: give the encoder they were taught on" in str(caught.value)


def test_shipped_heads_of_another_encoder_give_way_to_examples_and_the_log_says_so(
    opened, saved, rule, monkeypatch, caplog
):
    heads = Heads.load(saved(encoder="files:another"))
    monkeypatch.setattr("guard.detectors.opening.shipped", lambda constitution: heads)
    with caplog.at_level(logging.WARNING):
        (meaning,) = opened("shipped")
    assert meaning.covers(rule, Part.PROMPT).by == "meaning:examples"
    assert "the shipped heads are for another encoder" in caplog.text


def test_shipped_heads_that_know_none_of_the_rules_are_passed_over(opened, rule, monkeypatch):
    monkeypatch.setattr("guard.detectors.opening.shipped", lambda constitution: None)
    (meaning,) = opened("shipped")
    assert meaning.covers(rule, Part.PROMPT).by == "meaning:examples"


def test_heads_on_vectors_of_another_length_are_refused(opened, saved):
    with pytest.raises(HeadsError, match="heads were taught on vectors of 5 numbers, the encoder gives 256"):
        opened(saved(dim=5))


def test_a_folder_that_is_none_of_heads_is_refused(opened, tmp_path):
    with pytest.raises(HeadsError, match=r"card\.json"):
        opened(tmp_path)


def test_gates_of_one_process_share_encoder_and_static_tier_until_the_last_is_closed(
    rule, constitute, small_encoder, saved
):
    from guard.encoders.shared import _OPEN

    before = set(_OPEN)
    heads = saved()
    first = meaning_detectors(constitute(rule), str(small_encoder), heads, thorough=False)
    second = meaning_detectors(constitute(rule), str(small_encoder), heads, thorough=False)
    mine = set(_OPEN) - before
    assert sorted(key[0] for key in mine) == ["encoder", "static"]
    assert [_OPEN[key].users for key in mine] == [2, 2]
    for detector in first:
        detector.close()
    assert set(_OPEN) - before == mine
    for detector in second:
        detector.close()
        detector.close()
    assert set(_OPEN) == before


def test_heads_that_do_not_fit_leave_no_encoder_open(rule, constitute, small_encoder, saved):
    from guard.encoders.shared import _OPEN

    before = set(_OPEN)
    with pytest.raises(HeadsError):
        meaning_detectors(constitute(rule), str(small_encoder), saved(dim=7), thorough=False)
    assert set(_OPEN) == before
