from __future__ import annotations

import json
import warnings
from dataclasses import replace

import pytest

from guard.exchange import Exchange
from guard.gate import Gate
from guard.trained.heads import Heads
from guard.trained.sides import ANSWERED, ASKED
from guard.training.calibrate import CalibrationError
from guard.training.gathering import check_texts, gather_pool
from guard.training.rows import LabelError
from guard.training.settings import Training
from guard.training.train import train
from guard.training.tune import Tuning
from rules.schema import Constitution

VERBS = {"theft-help": ["steal", "take"], "fire-help": ["burn", "break"], "": ["mend", "clean", "paint", "wash"]}
THINGS = "kettle ladder basket candle knife pencil saddle blanket window bridge house car money".split()
PLACES = "kitchen garden station library harbour museum bakery stable teacher neighbour".split()


pytestmark = pytest.mark.usefixtures("quiet_torch", "cache_of_the_run")


def rule(rule_id):
    return {
        "id": rule_id,
        "title": rule_id,
        "rule": "Do not help with what hurts others or their things.",
        "why": "It hurts those who did nothing to deserve it.",
        "detect": {},
        "examples": {"breaks": [f"how do i {VERBS[rule_id][0]} my neighbour"], "keeps": ["how do i clean the car"]},
    }


@pytest.fixture(scope="module")
def constitution():
    rules = [rule("theft-help"), rule("fire-help")]
    return Constitution.model_validate({"name": "small", "title": "Small", "rules": rules})


def requests(rule_id, places):
    return [
        f"how do i {verb} the {thing} near the {place}"
        for verb in VERBS[rule_id]
        for thing in THINGS
        for place in places
    ]


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Twins, and harmless prompts of a source without harm: enough to promise a tenth by."""
    folder = tmp_path_factory.mktemp("data")
    twins = []
    for rule_id in ("theft-help", "fire-help"):
        for number, (bad, good) in enumerate(
            zip(requests(rule_id, PLACES[:4]), requests("", PLACES[:4]), strict=False)
        ):
            line = {"row": f"{rule_id}-{number}"}
            twins.append({**line, "prompt": bad, "label": "harmful", "category": rule_id})
            twins.append({**line, "prompt": good + (" please" if rule_id == "fire-help" else ""), "label": "safe"})
    plain = [{"prompt": text, "label": "safe"} for text in requests("", PLACES[4:])]
    return [write(folder / "twins.jsonl", twins), write(folder / "plain.jsonl", plain)]


@pytest.fixture(scope="module")
def what(constitution, files, small_encoder):
    return Training(
        constitution,
        files,
        bank=False,
        encoder=str(small_encoder),
        tuned=False,
        how=Tuning(passes=0.2, batch=16, rate=1e-3, threads=1),
        budget=0.1,
    )


@pytest.fixture(scope="module")
def taught(what, tmp_path_factory):
    """Heads alone, taught once, and what was told on the way."""
    told = []
    out = tmp_path_factory.mktemp("heads") / "out"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="builtin type .* has no __module__ attribute")
        return train(what, out, told.append), out, told


def test_heads_are_written_with_a_card_of_data_seeds_figures_and_promises(taught, what):
    heads, out, told = taught
    card = json.loads((out / "card.json").read_text())
    assert heads.rules == ("theft-help", "fire-help")
    assert set(heads.sides) == {ASKED}
    assert heads.adapter is None
    assert card["settings"]["seed"] == what.how.seed
    assert card["sources"]["twins"]["harmful"] > 50
    assert card["sources"]["rules"] == {"harmful": 2, "safe": 1}
    assert card["held_out"][ASKED]["rows"] > 10
    assert card["promises"][ASKED]["bound"] <= what.budget
    assert card["promises"][ASKED]["threshold"] == heads.sides[ASKED].threshold
    assert card["static"][ASKED]["benign rows"] > 30
    assert str(out) not in json.dumps(card)
    assert any(line.startswith("pool: ") for line in told)


def test_the_gate_that_opens_them_finds_the_rule_and_leaves_the_harmless_alone(taught, what):
    _, out, _ = taught
    with Gate.build(what.constitution, encoder=what.encoder, heads=out, thorough=True) as gate:
        harmful = gate.judge_many([Exchange.of(text) for text in requests("theft-help", ["garden"])[:12]])
        harmless = gate.judge_many([Exchange.of(text) for text in requests("", ["museum"])[:24]])
    assert sum("theft-help" in verdict.broken for verdict in harmful) >= 8
    assert sum(bool(verdict.broken) for verdict in harmless) <= 4
    assert harmful[0].coverage.scanned["meaning"] == ("theft-help", "fire-help")


def test_the_same_seed_makes_the_same_heads(taught, what, tmp_path):
    heads, _, _ = taught
    assert train(what, tmp_path / "again").digest == heads.digest


def test_a_tuned_encoder_travels_with_its_heads(what, tmp_path, taught):
    told = []
    heads = train(replace(what, tuned=True), tmp_path / "tuned", told.append)
    assert heads.adapter == tmp_path / "tuned" / "adapter.safetensors"
    assert heads.card["losses"]
    assert any(line.startswith("step ") for line in told)
    assert heads.digest != taught[0].digest
    with Gate.build(what.constitution, encoder=what.encoder, heads=tmp_path / "tuned") as gate:
        assert "+adapter:" in gate.identity
        assert gate.judge(Exchange.of("how do i burn the house")).scores


def test_rows_near_a_check_prompt_are_not_taught_and_the_card_counts_them(what, tmp_path):
    checks = write(tmp_path / "check.jsonl", [{"prompt": requests("theft-help", PLACES)[0].upper() + "?"}])
    pool = gather_pool(replace(what, check=[checks]))
    rows = [*pool.teach, *pool.choose, *pool.calibrate]
    assert pool.counts["near a check prompt"] >= 2
    assert requests("theft-help", PLACES)[0] not in {row.text for row in rows}
    assert check_texts([checks, checks]) == [requests("theft-help", PLACES)[0].upper() + "?"]
    write(checks, [{"prompt": "fine"}, {"text": "no prompt"}])
    with pytest.raises(LabelError, match=r"check\.jsonl:2: `prompt` is neither"):
        gather_pool(replace(what, check=[checks]))


def test_tests_of_rules_are_not_in_the_pool(what):
    text = "how do i steal all the money of the museum"
    rules = [{**rule("theft-help"), "tests": {"breaks": [text], "keeps": []}}, rule("fire-help")]
    constitution = Constitution.model_validate({"name": "small", "title": "Small", "rules": rules})
    pool = gather_pool(replace(what, constitution=constitution))
    assert text not in {row.text for row in (*pool.teach, *pool.choose, *pool.calibrate)}


def test_hazards_of_the_rules_name_the_rule_of_a_category(what, tmp_path):
    hazardous = {**rule("theft-help"), "hazards": ["mlcommons-1.0:non-violent-crimes"]}
    constitution = Constitution.model_validate({"name": "small", "title": "Small", "rules": [hazardous]})
    line = {"prompt": "how do i take a car", "label": "harmful", "category": "mlcommons-1.0:non-violent-crimes"}
    data = write(tmp_path / "mine.jsonl", [line])
    pool = gather_pool(replace(what, constitution=constitution, data=[*what.data, data]))
    assert [row.rules for row in pool.teach if row.source == "mine"] == [("theft-help",)]


def test_one_class_only_is_refused(what, tmp_path):
    safe = write(tmp_path / "safe.jsonl", [{"prompt": text, "label": "safe"} for text in requests("", PLACES[:2])])
    bare = {**rule("theft-help"), "examples": {"breaks": [], "keeps": []}}
    constitution = Constitution.model_validate({"name": "small", "title": "Small", "rules": [bare]})
    with pytest.raises(LabelError, match="all prompts to teach are safe") as caught:
        train(replace(what, constitution=constitution, data=[safe]), tmp_path / "out")
    assert "a classifier needs both labels" in str(caught.value)
    with pytest.raises(LabelError, match="there are no prompts to teach"):
        train(replace(what, constitution=constitution, data=[]), tmp_path / "out")
    off = Constitution.model_validate(
        {"name": "small", "title": "Small", "rules": [{**bare, "detect": {"meaning": None}}]}
    )
    with pytest.raises(LabelError, match="no rule is looked for by meaning"):
        train(replace(what, constitution=off), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_answers_of_one_label_make_no_head_and_examples_judge_them(what, tmp_path):
    answers = [{"prompt": "help", "response": f"take the {thing}", "label": "harmful"} for thing in THINGS]
    data = write(tmp_path / "answers.jsonl", answers)
    pool = gather_pool(replace(what, data=[*what.data, data]))
    assert not [row for row in pool.teach if row.answers]
    assert pool.counts["answers, as all are harmful"] >= 10, "some may lie near a row that is held out"


def test_too_few_harmless_rows_to_promise_by_are_refused_and_nothing_is_written(what, tmp_path):
    with pytest.raises(CalibrationError, match=r"cannot promise 0\.1%"):
        train(replace(what, budget=0.001), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_harmless_sources_and_twins_heads_are_made_and_promise_nothing(what, tmp_path):
    rows = [
        {"prompt": text, "label": label}
        for rule_id, label in (("theft-help", "harmful"), ("", "safe"))
        for text in requests(rule_id, PLACES[:2])
    ]
    told = []
    heads = train(replace(what, data=[write(tmp_path / "mixed.jsonl", rows)]), tmp_path / "out", told.append)
    assert (heads.card.get("promises"), heads.static) == (None, None)
    assert heads.sides[ASKED].threshold == 0.5
    assert any("no held-out pairs" in line for line in told)
    assert any("no harmless rows were left to promise a rate by" in line for line in told)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_real_encoder_and_the_bank_make_heads_for_prompts_and_answers(tmp_path):
    from rules.load import load

    constitution = load("base").constitution
    heads = train(Training(constitution, tuned=False, budget=0.02), tmp_path / "out")
    assert set(heads.sides) == {ASKED, ANSWERED}
    assert heads.card["held_out"][ASKED]["auc"] > 0.7
    assert heads.card["promises"][ASKED]["bound"] <= 0.02
    assert ANSWERED not in heads.card["promises"], "the bank has no harmless answers of a source without harm"
    found = Heads.load(tmp_path / "out")
    assert found.stale(constitution) == ()
    with Gate.build(constitution, heads=tmp_path / "out") as gate:
        assert gate.judge(Exchange.of("What is the capital of Mongolia?")).broken == ()
