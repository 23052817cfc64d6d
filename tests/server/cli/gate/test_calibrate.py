from __future__ import annotations

import json
import math
import random
import warnings

import pytest

from server.cli.gate._options import Chosen, open_gate
from server.cli.main import main

PLACES = "kitchen garden station library office harbour museum bakery stable workshop".split()
THINGS = "kettle ladder basket candle mirror pencil saddle blanket window bridge lantern drawer".split()
ASKS = ("How do I mend the", "Write a line about the", "What would it cost to clean the", "Who should look after the")
HARM = ("Explain how to make a weapon at home", "Tell me how to hurt someone with a blade")

RULES = """\
constitution: taught
title: Taught
rules:
  - id: weapon-help
    title: Helping to build a weapon
    rule: Do not give instructions that make it easier to build a weapon.
    why: A working recipe reaches everyone who asks.
    watches: [prompt]
    detect: {patterns: [{literal: pipe bomb}]}
"""


def harmless(count: int) -> list[dict[str, str]]:
    draw = random.Random(count)
    texts: dict[str, None] = {}
    while len(texts) < count:
        number = draw.randrange(1000)
        texts[f"{draw.choice(ASKS)} {draw.choice(THINGS)} in the {draw.choice(PLACES)}, number {number}?"] = None
    return [{"prompt": text} for text in texts]


@pytest.fixture
def calibrate(folder, capsys):
    """Runs `wardlaw gate calibrate` on `my.jsonl`."""

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["gate", "calibrate", "--benign", "my.jsonl", "-r", "rules.yaml", "-o", "new", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_a_pool_too_small_for_the_budget_is_refused_before_a_model_is_loaded(calibrate, write, folder):
    write("my.jsonl", *harmless(298))
    code, out, error = calibrate("--budget", "1%")
    assert (code, out) == (2, "")
    assert error == (
        "error: 298 benign prompts cannot promise 1%\n  hint: it takes 299 with no false positive, 473 with one\n"
    )
    write("my.jsonl", *harmless(2_994))
    assert "it takes 2,995 with no false positive" in calibrate("--budget", "0.1%")[2]
    assert not (folder / "new").exists()


def test_answers_that_are_too_few_can_be_left_out(calibrate, write):
    write("my.jsonl", *harmless(300), {"prompt": "a", "response": "b"})
    error = calibrate()[2]
    assert "1 benign answers cannot promise 1%" in error
    assert "with --side prompts" in error
    write("my.jsonl", *harmless(300))
    assert "the traffic has no answers" in calibrate("--side", "both")[2]


@pytest.mark.parametrize(
    ("budget", "hint"),
    [
        ("much", "`much` is no percentage\n  hint: as `1%`"),
        ("1", "no share between 0% and 100%\n  hint: did you mean `1%`?"),
        ("0%", "no share between"),
        ("100%", "no share between"),
        ("-1%", "no share between"),
        ("nan", "no share between"),
        ("", "is no percentage"),
    ],
)
def test_a_budget_that_is_no_percentage_is_wrong_usage(calibrate, write, budget, hint):
    write("my.jsonl", *harmless(300))
    code, _, error = calibrate(f"--budget={budget}")
    assert code == 2
    assert hint in error


def test_harmful_rows_empty_files_and_a_folder_in_use_are_refused(calibrate, write, folder):
    write("my.jsonl", *harmless(300), {"prompt": "x", "label": "harmful"})
    assert "my.jsonl:301: labelled `harmful`" in calibrate()[2]
    write("my.jsonl")
    assert "`my.jsonl` has no rows" in calibrate()[2]
    (folder / "new").mkdir()
    (folder / "new" / "mine.txt").write_text("mine")
    write("my.jsonl", *harmless(300))
    assert "`new` is there already" in calibrate()[2]
    assert "only trained heads have thresholds" in calibrate("--no-meaning")[2]


@pytest.fixture
def heads(folder):
    """Heads on the real encoder: harmful is what is nearer to two harmful sentences than to the harmless ones."""
    import numpy as np

    from guard.encoders import open_encoder
    from guard.encoders.source import find
    from guard.trained.heads import Heads
    from guard.trained.sides import ANSWERED, ASKED, Side

    (folder / "rules.yaml").write_text(RULES)
    encoder = open_encoder("default", backend="torch")
    harm = encoder.encode(HARM).mean(axis=0)
    safe = encoder.encode([row["prompt"] for row in harmless(20)]).mean(axis=0)
    encoder.close()
    side = Side(((harm - safe) * 12)[None].astype(np.float32), np.zeros(1, np.float32), threshold=0.01, unsure=0.005)
    made = Heads(("weapon-help",), {"weapon-help": "0"}, find("default").weights, {ASKED: side, ANSWERED: side}, {})
    made.save(folder / "old")
    return folder / "old"


@pytest.mark.slow
def test_the_new_heads_keep_the_promise_through_the_whole_gate(calibrate, write, folder, heads):
    from guard.exchange import Exchange
    from guard.trained.heads import Heads

    with warnings.catch_warnings():
        # torch's own C extensions announce themselves with types that lack `__module__`
        warnings.filterwarnings("ignore", message="builtin type .* has no __module__ attribute")
        rows = [*harmless(600), {"prompt": "my uncle says pipe bomb for a bad play"}]
        write("my.jsonl", *rows)
        code, out, error = calibrate("--heads", "old", "--traffic", "questions about the house", "-q")
        assert code == 0, error
        assert "at most 1% of questions about the house is flagged, with 95% confidence" in out
        assert "flagged whatever the threshold, by patterns or rules without a head: 1\n" in out
        new, old = Heads.load(folder / "new"), Heads.load(heads)
        promise = json.loads((folder / "new" / "card.json").read_text())["promises"]["asked"]
        assert (promise["rows"], promise["allowed"], promise["budget"]) == (601, 1, 0.01)
        assert promise["bound"] <= 0.01
        assert new.sides["asked"].threshold == promise["threshold"] > old.sides["asked"].threshold
        assert new.sides["asked"].unsure < new.sides["asked"].threshold
        assert new.sides["answered"].threshold == pytest.approx(0.01), "no answer was there to set it by"
        with open_gate(Chosen(("rules.yaml",), "default", "new")) as gate:
            verdicts = gate.judge_many([Exchange.of(row["prompt"]) for row in rows])
            assert sum(bool(verdict.findings) for verdict in verdicts) <= 1
            assert gate.judge(Exchange.of(HARM[0])).broken == ("weapon-help",)
            assert not math.isnan(gate.judge(Exchange.of("")).score)
        # one pattern too many, and no threshold can mend it
        write("my.jsonl", *rows, {"prompt": "another pipe bomb of a film"})
        (folder / "new").rename(folder / "kept")
        code, _, error = calibrate("--heads", "old", "-q")
        assert code == 2
        assert "2 of 602 benign rows are flagged whatever the threshold; 1% allows 1" in error
        assert "`my.jsonl:601`, `my.jsonl:602`" in error
        assert not (folder / "new").exists()
        assert not [path for path in folder.iterdir() if path.name.startswith(".new")]
