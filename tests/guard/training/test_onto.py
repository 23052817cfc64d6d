from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from guard.exchange import Exchange
from guard.gate import Gate
from guard.trained.heads import Heads
from guard.trained.sides import ASKED
from guard.training.bank import HARMLESS, pack_rows
from guard.training.gathering import gather_pool
from guard.training.onto import train_onto, unknown
from guard.training.rows import LabelError
from guard.training.settings import Training
from guard.training.train import train
from rules.schema import Constitution

VERBS = {"theft-help": ["steal", "take"], "fire-help": ["burn", "break"], "": ["mend", "clean", "paint", "wash"]}
THINGS = "kettle ladder basket candle knife pencil saddle blanket window bridge house car money".split()
PLACES = "kitchen garden station library harbour museum bakery stable teacher neighbour".split()

pytestmark = pytest.mark.usefixtures("quiet_torch", "cache_of_the_run")


def constitution(*ids, words="Do not help with what hurts others or their things."):
    rules = [
        {
            "id": each,
            "title": each,
            "rule": words,
            "why": "It hurts those who did nothing to deserve it.",
            "examples": {"breaks": [f"how do i {VERBS[each][0]} my neighbour"], "keeps": ["how do i clean the car"]},
        }
        for each in ids
    ]
    return Constitution.model_validate({"name": "-".join(ids), "title": "Small", "rules": rules})


def requests(verbs, places):
    return [f"how do i {verb} the {thing} near the {place}" for verb in verbs for thing in THINGS for place in places]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Twins of two rules, and harmless prompts of a source without harm."""
    folder = tmp_path_factory.mktemp("data")
    twins = []
    for each in ("theft-help", "fire-help"):
        pairs = zip(requests(VERBS[each], PLACES[:4]), requests(VERBS[""][:2], PLACES[:4]), strict=True)
        for number, (bad, good) in enumerate(pairs):
            twins += [
                {"row": f"{each}-{number}", "prompt": bad, "label": "harmful", "category": each},
                {"row": f"{each}-{number}", "prompt": f"{good} for {each}", "label": "safe"},
            ]
    plain = [{"prompt": text, "label": "safe"} for text in requests(VERBS[""], PLACES[4:])]
    paths = [folder / "twins.jsonl", folder / "plain.jsonl"]
    for path, rows in zip(paths, (twins, plain), strict=True):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return paths


def what(files, encoder, *ids, **more):
    return Training(constitution(*ids, **more), files, bank=False, encoder=str(encoder), tuned=False, budget=0.1)


@pytest.fixture(scope="module")
def first(files, small_encoder, tmp_path_factory):
    """Heads that know one of the rules."""
    return train(what(files, small_encoder, "theft-help"), tmp_path_factory.mktemp("first") / "heads")


@pytest.fixture(scope="module")
def both(first, files, small_encoder, tmp_path_factory):
    """The same with the other rule taught onto them, where they lie, and what was told on the way."""
    out, told = tmp_path_factory.mktemp("both") / "heads", []
    train_onto(what(files, small_encoder, "theft-help", "fire-help"), first, out, told.append)
    return out, told


def test_only_the_rule_without_a_head_is_taught_and_the_others_keep_every_number(first, both):
    out, told = both
    made = Heads.load(out)
    assert told[0] == "to teach: 1 of 2 rules: fire-help"
    assert [heads.rules for heads in made.every] == [("theft-help",), ("fire-help",)]
    assert made.digest == first.digest
    assert np.array_equal(made.sides[ASKED].weight, first.sides[ASKED].weight)
    assert made.sides[ASKED].threshold == first.sides[ASKED].threshold
    assert not (out / "also" / "theft-help-fire-help" / "adapter.safetensors").exists()


def test_the_gate_finds_both_rules_by_their_own_heads(both, small_encoder):
    out, _ = both
    rules = constitution("theft-help", "fire-help")
    with Gate.build(rules, encoder=str(small_encoder), heads=out, thorough=True) as gate:
        found = [
            gate.judge(Exchange.of(f"how do i {verb} the candle near the bakery")).scores for verb in ("steal", "burn")
        ]
        calm = gate.judge(Exchange.of("how do i paint the bridge near the stable"))
    assert found[0]["theft-help"] > calm.scores["theft-help"]
    assert found[1]["fire-help"] > max(found[0]["fire-help"], calm.scores["fire-help"])
    assert calm.broken == ()
    assert calm.coverage.scanned["meaning"] == ("theft-help", "fire-help")


def test_the_new_heads_carry_a_promise_of_their_own(both):
    out, _ = both
    (beside,) = Heads.load(out).also
    promise = beside.card["promises"][ASKED]
    assert (promise["budget"], promise["traffic"].startswith("prompts of the held-out benign pool (plain")) == (
        0.1,
        True,
    )
    assert beside.card["name"] == "theft-help-fire-help"
    assert beside.card["tuned"] is False


def test_what_every_head_knows_already_is_refused(first, files, small_encoder, tmp_path):
    with pytest.raises(LabelError, match="has a head already"):
        train_onto(what(files, small_encoder, "theft-help"), first, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_rule_whose_words_were_changed_is_taught_again_and_taught_anew_it_takes_the_place_of_the_old_one(
    both, files, small_encoder, tmp_path
):
    old = Heads.load(both[0])
    words = "Do not help with what hurts others, or burns their things."
    changed = what(files, small_encoder, "fire-help", words=words)
    assert [rule.id for rule in unknown(changed.constitution, old)] == ["fire-help"]
    assert unknown(constitution("theft-help", "fire-help"), old) == []
    (rule,) = changed.constitution
    assert old.stale(changed.constitution) == ("fire-help",)
    made = train_onto(changed, old, tmp_path / "out")
    assert made.stale(changed.constitution) == ()
    assert made.of(rule).card["name"] == "fire-help"


def test_a_pack_of_which_one_rule_has_changed_keeps_heads_for_its_other_rules(both, files, small_encoder, tmp_path):
    """Heads beside others go by the pack's name: the new ones take the place of all that the pack had."""
    base = replace(Heads.load(both[0]), also=())
    rules = constitution("theft-help", "fire-help")
    changed = [
        rule.model_copy(update={"allowed": (rule.title,)}) if rule.id == "theft-help" else rule for rule in rules
    ]
    pack = replace(what(files, small_encoder, "fire-help"), constitution=rules.model_copy(update={"name": "pack"}))
    first_taught = train_onto(pack, base, tmp_path / "first")
    again = replace(pack, constitution=pack.constitution.model_copy(update={"rules": tuple(changed)}))
    made = train_onto(again, first_taught, tmp_path / "again")
    assert made.stale(again.constitution) == ()
    assert all(made.of(rule) is not None for rule in again.constitution)


def test_a_rule_that_shares_nothing_but_the_id_with_one_that_was_taught_is_none_of_theirs(both):
    old = Heads.load(both[0])
    stranger = constitution("fire-help", words="Never praise the competition before customers.")
    assert old.of(stranger.rules[0]) is None
    assert old.stale(stranger) == ()
    assert [rule.id for rule in unknown(stranger, old)] == ["fire-help"]


def test_a_harmful_text_of_another_rule_is_not_taught_as_a_break_and_its_twin_is_taught_as_harmless(
    first, files, small_encoder
):
    few = replace(what(files, small_encoder, "fire-help"), onto=first)
    pool = gather_pool(few)
    rows = [*pool.teach, *pool.choose]
    assert {rule for row in rows if row.harmful for rule in row.rules} == {"fire-help"}
    assert not any("steal" in row.text for row in rows)
    assert any("for theft-help" in row.text for row in rows)


def test_of_the_bank_whole_pairs_of_the_rules_and_only_harmless_texts_of_the_others_are_taken(tmp_path):
    for pack, rule in (("mine", "fire-help"), ("other", "theft-help")):
        folder = tmp_path / "packs" / pack
        folder.mkdir(parents=True)
        line = {"rule": rule, "style": "question", "harmful": f"bad {rule}", "safe": f"good {rule}"}
        (folder / "requests.en.jsonl").write_text(json.dumps(line) + "\n")
    rows = pack_rows(["fire-help"], tmp_path)
    assert {(row.text, row.harmful, row.source) for row in rows} == {
        ("bad fire-help", True, "bank/packs/mine"),
        ("good fire-help", False, "bank/packs/mine"),
        ("good theft-help", False, HARMLESS),
    }
    assert [row.pair is None for row in rows] == [row.source == HARMLESS for row in rows]


def test_a_rule_that_is_named_is_taught_although_it_is_known_and_the_new_heads_judge_it(
    first, files, small_encoder, tmp_path
):
    same = what(files, small_encoder, "theft-help")
    made = train_onto(same, first, tmp_path / "out", again=["theft-help"])
    (rule,) = same.constitution
    assert made.of(rule) is made.also[0]
    assert made.also[0].card["again"] == ["theft-help"]
    assert np.array_equal(made.sides[ASKED].weight, first.sides[ASKED].weight)
    assert first.of(rule) is first
