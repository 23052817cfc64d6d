from __future__ import annotations

import json

import pytest

from server.cli.main import main

RULES = """\
constitution: taught
title: Taught
rules:
  - id: theft-help
    title: Helping to steal
    rule: Do not help to take what belongs to others.
    why: It hurts those who did nothing to deserve it.
    watches: [prompt]
    detect: {}
"""
THINGS = "kettle ladder basket candle knife pencil saddle blanket window bridge house car money".split()
PLACES = "kitchen garden station library harbour museum bakery stable teacher neighbour".split()


pytestmark = pytest.mark.usefixtures("quiet_torch", "cache_of_the_run")


def asked(verb, place):
    return [f"how do i {verb} the {thing} near the {place}" for thing in THINGS]


@pytest.fixture
def data(folder, write):
    """Rules, twins, and enough harmless prompts to promise a tenth by."""
    (folder / "rules.yaml").write_text(RULES)
    rows = []
    for place in PLACES[:4]:
        for thing, (bad, good) in enumerate(zip(asked("steal", place), asked("mend", place), strict=True)):
            twins = {"row": f"{place}-{thing}", "category": "theft-help"}
            rows += [{**twins, "prompt": bad, "label": "harmful"}, {**twins, "prompt": good, "label": "safe"}]
    write("twins.jsonl", *rows)
    plain = [text for verb in ("paint", "wash") for place in PLACES[4:] for text in asked(verb, place)]
    write("plain.jsonl", *({"prompt": text, "label": "safe"} for text in plain))
    return ["--data", "twins.jsonl", "--data", "plain.jsonl"]


@pytest.fixture
def train(folder, small_encoder, capsys):
    """Runs `wardlaw gate train` with small rules and a small encoder."""

    def run(*arguments, encoder=None):
        capsys.readouterr()
        fixed = ["-r", "rules.yaml", "--encoder", encoder or str(small_encoder), "--no-bank", "-o", "new"]
        code = main(["gate", "train", *fixed, *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_heads_alone_are_taught_and_the_figures_and_the_next_step_are_shown(train, data, folder):
    code, out, error = train(*data, "--heads-only", "--budget", "10%", "--threads", "1")
    assert code == 0, error
    card = json.loads((folder / "new" / "card.json").read_text())
    assert (card["tuned"], card["settings"]["budget"]) == (False, 0.1)
    lines = {line.rsplit("  ", 1)[0].strip(): line.rsplit("  ", 1)[-1].strip() for line in out.splitlines()}
    assert lines["AUC on them"] == f"{card['held_out']['asked']['auc']:.3f}"
    assert lines["of these flagged"] == str(card["promises"]["asked"]["observed"])
    assert lines["promised with 95% confidence: at most"] == f"{100 * card['promises']['asked']['bound']:.2f}%"
    assert lines["threshold"] == f"{card['promises']['asked']['threshold']:.4f}"
    assert "answers: no heads, as there were no rows of both labels" in out
    assert out.splitlines()[-1].startswith("new: measure it with wardlaw gate eval -r rules.yaml --encoder ")
    assert "min  pool: " in error
    assert not [path for path in folder.iterdir() if path.name.startswith(".new")]


def test_the_encoder_is_tuned_for_as_long_as_is_asked(train, data, folder):
    options = ["--passes", "0.05", "--rate", "0.001", "--rank", "4", "--seed", "3", "--threads", "1"]
    code, _, error = train(*data, "--budget", "10%", *options)
    assert code == 0, error
    card = json.loads((folder / "new" / "card.json").read_text())
    assert card["tuned"]
    assert {name: card["settings"][name] for name in ("passes", "rate", "rank", "seed", "threads")} == {
        "passes": 0.05,
        "rate": 0.001,
        "rank": 4,
        "seed": 3,
        "threads": 1,
    }
    assert (folder / "new" / "adapter.safetensors").is_file()
    assert "step 1 of 1, loss" in error


def test_what_will_be_measured_on_is_kept_out_and_counted(train, data, folder, write):
    write("check.jsonl", {"prompt": asked("steal", PLACES[0])[0] + "!"})
    code, out, error = train(*data, "--heads-only", "--budget", "10%", "--check", "check.jsonl", "-q")
    assert (code, error) == (0, ""), error
    assert json.loads((folder / "new" / "card.json").read_text())["left_out"]["near a check prompt"] >= 2
    assert "wardlaw gate eval check.jsonl -r rules.yaml" in out


def test_a_recipe_limits_sources_and_what_it_does_not_name_is_told(train, data, folder, write):
    (folder / "recipe.yaml").write_text("sources: {twins: {weight: 0.5, harmful: 30}, gone: {}}\nprompts: 2\n")
    code, out, error = train(*data, "--heads-only", "--recipe", "recipe.yaml", "--budget", "10%")
    assert code == 0, error
    assert "not in the recipe, so not taught: plain" in error
    assert "in the recipe, but no file of --data has the name: gone" in error
    card = json.loads((folder / "new" / "card.json").read_text())
    assert card["sources"]["twins"]["weight"] == 0.5
    assert card["settings"]["passes"] == 2
    assert "prompts: nothing is promised, as no harmless rows were left" in out
    assert "wardlaw gate calibrate --benign FILE -r rules.yaml" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--data", "gone.jsonl"], "no file `gone.jsonl`"),
        (["--check", "gone.jsonl"], "no file `gone.jsonl`"),
        (["--recipe", "gone.yaml"], "recipe `gone.yaml` cannot be read"),
        (["--data", "bad.jsonl"], "bad.jsonl:1: the label `evil` is neither `harmful` nor `safe`"),
        (["--data", "safe.jsonl"], "all prompts to teach are safe"),
        ([], "there are no prompts to teach"),
        (["--heads-only", "--passes", "2"], "`--passes` is of tuning the encoder"),
        (["--passes", "0"], "--passes"),
        (["--rank", "0"], "--rank"),
        (["--budget", "1"], "did you mean `1%`?"),
        (["-r", "gone.yaml"], "gone.yaml"),
    ],
)
def test_what_cannot_be_used_is_told_in_a_line_and_a_hint_and_leaves_nothing(
    train, data, folder, write, arguments, says
):
    write("bad.jsonl", {"prompt": "x", "label": "evil"})
    write("safe.jsonl", {"prompt": "how do i mend the kettle", "label": "safe"})
    code, out, error = train(*arguments)
    assert (code, out) == (2, "")
    assert says in error
    assert error.count("error: ") == 1
    assert "Traceback" not in error
    assert not [path for path in folder.iterdir() if "new" in path.name]


def test_an_encoder_that_is_not_there_is_told_before_anything_is_gathered(train, data):
    code, _, error = train(*data, encoder="./nowhere")
    assert code == 2
    assert "encoder `./nowhere` is not there" in error
    assert "pool" not in error


def test_a_folder_in_use_is_not_written_over(train, data, folder):
    (folder / "new").mkdir()
    (folder / "new" / "mine.txt").write_text("mine")
    code, _, error = train(*data, "--heads-only")
    assert code == 2
    assert "`new` is there already" in error
    assert (folder / "new" / "mine.txt").read_text() == "mine"


def test_too_few_harmless_rows_for_the_budget_leave_no_folder(train, data, folder):
    code, _, error = train(*data, "--heads-only", "--budget", "0.1%")
    assert code == 2
    assert "cannot promise 0.1%" in error
    assert "it takes 2,995 rows" in error
    assert not [path for path in folder.iterdir() if "new" in path.name]
