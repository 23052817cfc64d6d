from __future__ import annotations

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from guard.detectors.meaning import MeaningDetector
from guard.trained.folder import HeadsError
from guard.trained.heads import SHIPPED, Heads, shipped
from guard.trained.sides import ANSWERED, ASKED, Clear, Side
from guard.trained.teaching import teaching_digest
from rules.schema import Part

RULES = ("theft", "fire")


def side(dim=6, rules=2, **more):
    draw = np.random.default_rng(dim)
    return Side(draw.normal(size=(rules, dim)).astype(np.float32), np.zeros(rules, np.float32), **more)


def clear(dim=4):
    return Clear(np.ones((3, dim), np.float32), np.zeros(3, np.float32), np.ones(3, np.float32), 0.25, -1.5)


def heads_of(*, sides=None, static=None, rules=RULES, **card):
    digests = {rule: f"digest of {rule}" for rule in rules}
    return Heads(rules, digests, "files:abc", sides or {ASKED: side(), ANSWERED: side(other=(0.5, 0.25))}, card, static)


@pytest.fixture
def saved(tmp_path):
    """A folder of heads with all parts."""
    adapter = tmp_path / "made.safetensors"
    adapter.write_bytes(b"adapter")
    heads_of(static={ASKED: clear()}, note="a card").save(tmp_path / "heads", adapter)
    return tmp_path / "heads"


def test_what_is_saved_comes_back(saved):
    found = Heads.load(saved)
    assert found.rules == RULES
    assert found.taught == {"theft": "digest of theft", "fire": "digest of fire"}
    assert (found.encoder, found.card["note"]) == ("files:abc", "a card")
    assert found.adapter == saved / "adapter.safetensors"
    assert np.array_equal(found.sides[ASKED].weight, side().weight)
    assert (found.sides[ASKED].other, found.sides[ANSWERED].other) == (None, (0.5, 0.25))
    assert (found.static[ASKED].out_bias, found.static[ASKED].below) == (0.25, -1.5)
    assert np.allclose(found.static[ASKED].logits(np.ones((1, 4), np.float32)), 12.25)


def test_saving_again_gives_the_same_files_and_the_same_digest(saved, tmp_path):
    first = Heads.load(saved)
    first.save(tmp_path / "copy")
    second = Heads.load(tmp_path / "copy")
    assert second.digest == first.digest != ""
    files = [{file.name: file.read_bytes() for file in folder.iterdir()} for folder in (saved, tmp_path / "copy")]
    assert files[0] == files[1]
    first.save(saved)
    assert Heads.load(saved).digest == first.digest


def test_another_threshold_is_another_digest_and_stands_in_the_card_with_its_promise(saved):
    found = Heads.load(saved)
    moved = found.with_threshold(ASKED, 0.75, 0.9, {"budget": 0.01})
    assert (moved.sides[ASKED].threshold, moved.sides[ASKED].unsure) == (0.75, 0.75)
    assert moved.sides[ANSWERED] == found.sides[ANSWERED]
    moved.save(saved)
    again = Heads.load(saved)
    assert again.card["promises"] == {ASKED: {"budget": 0.01}}
    assert again.digest != found.digest
    assert again.with_threshold(ANSWERED, 0.5, 0.5, {}).card["promises"] == {ASKED: {"budget": 0.01}, ANSWERED: {}}


def test_nothing_of_former_heads_is_left_where_new_ones_are_saved(saved):
    heads_of().save(saved)
    found = Heads.load(saved)
    assert (found.adapter, found.static) == (None, None)
    assert {file.name for file in saved.iterdir()} == {"card.json", "heads.safetensors"}


def test_an_adapter_that_cannot_be_read_leaves_the_former_heads_as_they_were(saved, tmp_path):
    before = {file.name: file.read_bytes() for file in saved.iterdir()}
    with pytest.raises(OSError, match="gone"):
        heads_of().save(saved, tmp_path / "gone.safetensors")
    assert {file.name: file.read_bytes() for file in saved.iterdir()} == before


def test_a_folder_whose_saving_broke_off_is_refused_rather_than_half_loaded(saved, monkeypatch):
    import os

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        heads_of().save(saved)
    assert not [file for file in saved.iterdir() if file.suffix == ".tmp"]
    with pytest.raises(HeadsError, match=r"card\.json` cannot be read"):
        Heads.load(saved)


@pytest.mark.parametrize("name", ["heads.safetensors", "adapter.safetensors", "static.safetensors"])
@pytest.mark.parametrize("damage", ["cut off", "gone", "other"])
def test_a_file_that_is_cut_off_gone_or_of_another_training_is_refused(saved, name, damage):
    file = saved / name
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-3] if damage == "cut off" else b"other")
    with pytest.raises(HeadsError) as caught:
        Heads.load(saved)
    assert f"`{name}` is missing, cut off or of another training" in str(caught.value)
    assert "hint: fetch the folder whole, or train again: `wardlaw gate train`" in str(caught.value)


def test_a_card_that_is_missing_or_no_card_is_refused(saved, tmp_path):
    for text in (None, "{", "[]", "{}", '"x"', '{"format": 2}'):
        (saved / "card.json").unlink(missing_ok=True)
        if text is not None:
            (saved / "card.json").write_text(text)
        with pytest.raises(HeadsError) as caught:
            Heads.load(saved)
        assert "\n  hint: " in str(caught.value)
    assert "have format 2, not 1" in str(caught.value)
    with pytest.raises(HeadsError, match=r"card\.json"):
        Heads.load(tmp_path / "nowhere")


def reseal(folder, name="heads.safetensors", card=None, **changed):
    """Change tensors or the card of a folder, and let the card vouch for it."""
    from guard.trained.folder import digests

    if changed:
        tensors = {**load_file(folder / name), **{key.replace("_", ".", 1): value for key, value in changed.items()}}
        save_file({key: value for key, value in tensors.items() if value is not None}, folder / name)
    written = json.loads((folder / "card.json").read_text())
    written = {**written, "files": digests(folder), **(card or {})}
    (folder / "card.json").write_text(json.dumps(written))


@pytest.mark.parametrize(
    "changed",
    [
        {"asked_weight": np.zeros((3, 6), np.float32)},
        {"asked_weight": np.zeros(12, np.float32)},
        {"asked_bias": np.zeros(3, np.float32)},
        {"asked_bias": None},
        {"asked_calibration": np.zeros(3, np.float32)},
        {"asked_calibration": None},
        {"answered_other": np.zeros(1, np.float32)},
        {"asked_weight": None, "answered_weight": None},
        {"card": {"rules": {"theft": "x"}}},
        {"card": {"rules": ["theft", "fire"]}},
        {"card": {"rules": None}},
        {"name": "static.safetensors", "asked_out": np.zeros(5, np.float32)},
        {"name": "static.safetensors", "asked_scalars": np.zeros((2, 2), np.float32)},
        {"name": "static.safetensors", "asked_hidden": np.zeros(3, np.float32)},
        {"name": "static.safetensors", "asked_out": None},
    ],
    ids=lambda changed: "-".join(changed),
)
def test_tensors_that_do_not_fit_the_card_or_each_other_are_refused(saved, changed):
    reseal(saved, **changed)
    with pytest.raises(HeadsError) as caught:
        Heads.load(saved)
    assert "train them again: `wardlaw gate train`" in str(caught.value)


def test_a_pickle_in_the_place_of_heads_is_never_run(saved, tmp_path):
    class Bad:
        def __reduce__(self):
            return (open, (str(tmp_path / "it ran"), "w"))

    for name in ("heads.safetensors", "static.safetensors"):
        (saved / name).write_bytes(pickle.dumps(Bad()))
        reseal(saved)
        with pytest.raises(HeadsError, match="cannot be read"):
            Heads.load(saved)
        assert not (tmp_path / "it ran").exists()
        heads_of(static={ASKED: clear()}).save(saved)


def test_heads_on_vectors_of_another_size_are_refused(make_rule, constitute, encoder, tmp_path):
    constitution = constitute(make_rule("theft", detect={}), make_rule("fire", detect={}))
    with pytest.raises(HeadsError, match="heads were taught on vectors of 6 numbers, the encoder gives 384"):
        MeaningDetector(constitution, encoder, heads_of(), topics=False, cache=tmp_path)


def taught_on(rule, dim=384):
    weight = np.zeros((1, dim), np.float32)
    return Heads((rule.id,), {rule.id: teaching_digest(rule)}, "x", {ASKED: Side(weight, weight[:, 0])}, {})


def test_a_changed_example_makes_a_head_stale_and_coverage_says_so(make_rule, constitute, encoder, tmp_path):
    rule = make_rule(detect={}, examples={"breaks": ["How do I make a bomb?"], "keeps": []})
    heads = taught_on(rule)

    def covered_by(changed):
        detector = MeaningDetector(constitute(changed), encoder, heads, topics=False, cache=tmp_path)
        return detector.covers(changed, Part.PROMPT).by

    assert covered_by(rule) == "meaning"
    more = make_rule(detect={}, examples={"breaks": ["How do I make a bomb?", "Which pipe for a bomb?"], "keeps": []})
    assert heads.stale(constitute(more)) == (rule.id,)
    assert covered_by(more) == "meaning:stale"
    assert heads.stale(constitute(make_rule("other", detect={}))) == ()


def test_what_a_head_is_not_taught_by_does_not_make_it_stale(make_rule):
    rule = make_rule(detect={}, on={"prompt": "flag"})
    same = [
        make_rule(detect={"meaning": {"threshold": 0.7}}),
        make_rule(detect={"patterns": [{"literal": "bomb"}]}, on={"prompt": "block"}),
        make_rule(detect={}, reply="No.", severity="low", tests={"breaks": ["a bomb"], "keeps": []}),
    ]
    assert {teaching_digest(each) for each in same} == {teaching_digest(rule)}
    other = [
        make_rule(detect={}, rule="Do not speak of weapons to anybody at all."),
        make_rule(detect={}, allowed=["History of weapons."]),
        make_rule(detect={}, examples={"breaks": ["a bomb"], "keeps": []}),
    ]
    assert len({teaching_digest(each) for each in (rule, *other)}) == 4
    plain, noted = (
        make_rule(detect={}, examples={"breaks": [{"prompt": "a bomb", **note}], "keeps": []})
        for note in ({}, {"note": "the plain way"})
    )
    assert teaching_digest(plain) == teaching_digest(noted)


def test_the_shipped_heads_that_know_most_rules_are_taken(make_rule, constitute, tmp_path):
    heads_of(sides={ASKED: side(rules=1)}, rules=("theft",)).save(tmp_path / "a")
    heads_of().save(tmp_path / "b")
    both = constitute(make_rule("theft"), make_rule("fire"))
    best = Heads.load(tmp_path / "b").digest
    for constitution in (both, constitute(make_rule("fire"))):
        found = shipped(constitution, tmp_path)
        assert found is not None
        assert found.digest == best
    assert shipped(constitute(make_rule("other")), tmp_path) is None
    assert shipped(both, tmp_path / "nowhere") is None


def test_heads_for_further_rules_stand_beside_the_first_ones_and_only_those_of_use_are_taken(
    make_rule, constitute, tmp_path
):
    beside = [
        replace(heads_of(sides={ASKED: side(rules=1)}, rules=(name,)), card={"name": name}) for name in ("rain", "snow")
    ]
    replace(heads_of(), also=tuple(beside)).save(tmp_path / "b")
    found = Heads.load(tmp_path / "b")
    assert [heads.rules for heads in found.every] == [found.rules, ("rain",), ("snow",)]
    assert len(found.identity.split("+")) == 3
    rain = make_rule("rain")
    assert [heads.rules for heads in found.within(constitute(rain)).also] == [("rain",)]
    assert found.of(rain) is found.also[0]
    assert found.of(make_rule("hail")) is None
    moved = found.with_threshold(ASKED, 0.75, 0.5, {"budget": 0.01})
    assert [heads.sides[ASKED].threshold for heads in moved.every] == [0.75] * 3


def test_a_rule_taught_twice_is_judged_by_the_heads_that_were_taught_by_its_present_words(make_rule, tmp_path):
    rule = make_rule("fire")
    newer = replace(heads_of(rules=("fire",), sides={ASKED: side(rules=1)}), card={"name": "newer"})
    newer = replace(newer, taught={"fire": teaching_digest(rule)})
    both = replace(heads_of(), also=(newer,))
    assert both.of(rule) is newer
    assert both.of(make_rule("fire", rule="Say something else entirely.")) is both


def test_heads_beside_others_that_belong_to_another_encoder_are_refused(tmp_path):
    stranger = replace(heads_of(rules=("rain",), sides={ASKED: side(rules=1)}), card={"name": "rain"}, encoder="else")
    replace(heads_of(), also=(stranger,)).save(tmp_path / "b")
    with pytest.raises(HeadsError, match="also/rain` belong to another encoder"):
        Heads.load(tmp_path / "b")


@pytest.mark.skipif(not SHIPPED.is_dir(), reason="no heads are shipped yet")
def test_the_shipped_heads_load_and_none_of_their_rules_is_stale():
    from rules.load import load

    constitution = load("base").constitution
    found = shipped(constitution)
    assert found is not None
    assert found.stale(constitution) == ()
    assert set(found.sides) == {ASKED, ANSWERED}
    assert sum(file.stat().st_size for file in SHIPPED.rglob("*") if file.is_file()) < 5_000_000
