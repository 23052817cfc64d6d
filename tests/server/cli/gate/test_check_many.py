"""`gate check --jsonl` with many files: a folder of shards."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest


def lines(path: Path, *texts: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        "".join(json.dumps({"id": f"{path.stem}{n}", "prompt": text}) + "\n" for n, text in enumerate(texts))
    )
    return path


def test_a_pattern_is_judged_into_a_folder_and_gone_on_with(gate, folder):
    lines(folder / "in/a.jsonl", "hello", "a pipe bomb")
    lines(folder / "in/b.jsonl", "good morning")
    ran = gate("check", "--jsonl", "in/*.jsonl", "--out", "out")
    assert ran.code == 1
    assert ran.out.startswith("3 rows, 1 with a finding (33.33%)\n")
    rows = [row for path in Path("out/verdicts").glob("*.parquet") for row in pq.read_table(path).to_pylist()]
    assert {(row["id"], row["file"], row["line"]): row["action"] for row in rows} == {
        ("a0", "in/a.jsonl", 1): "allow",
        ("a1", "in/a.jsonl", 2): "block",
        ("b0", "in/b.jsonl", 1): "allow",
    }
    again = gate("check", "--jsonl", "in/a.jsonl", "in/b.jsonl", "--out", "out")  # as a shell spells a pattern out
    assert again.code == 1
    assert "2 of 2 shards from an earlier run" in again.out


def test_a_bad_line_ends_with_its_place_after_all_others_are_judged(gate, folder):
    path = lines(folder / "in/a.jsonl", "hello")
    path.write_text(path.read_text() + "{oops\n")
    ran = gate("check", "--jsonl", "in", "--out", "out")
    assert ran.code == 2
    assert ran.out.startswith("1 row, 0 with a finding")
    assert "error: in/a.jsonl:2: not JSON" in ran.err
    assert "--skip-bad" in ran.err
    told = gate("check", "--jsonl", "in", "--out", "out", "--skip-bad", "--json")
    assert told.code == 0
    assert (told.json["aside"], told.json["shards"]["kept"]) == (1, 1)
    assert json.loads(Path("out/aside.jsonl").read_text())["line"] == 2


def test_other_rules_are_refused_in_the_same_folder(gate, folder):
    lines(folder / "in/a.jsonl", "hello")
    assert gate("check", "--jsonl", "in", "--out", "out").code == 0
    rules = folder / "rules.yaml"
    rules.write_text(rules.read_text().replace("pipe bomb", "hello"))
    ran = gate("check", "--jsonl", "in", "--out", "out")
    assert ran.code == 2
    assert "`out` holds verdicts made otherwise: the rules and the gate are not the same" in ran.err


def test_one_file_into_a_file_is_as_ever(gate, folder):
    lines(folder / "a.jsonl", "a pipe bomb")
    assert gate("check", "--jsonl", "a.jsonl", "--out", "verdicts.jsonl").code == 1
    assert json.loads(Path("verdicts.jsonl").read_text())["verdict"]["action"] == "block"


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["in"], "many files are judged into a folder, and none is named"),
        (["in", "--out", "v.jsonl"], "`v.jsonl` names a file"),
        (["in/a.jsonl", "-", "--out", "out"], "standard input cannot be judged into a folder"),
        (["none/*.jsonl", "--out", "out"], "no file is called like `none/*.jsonl`"),
        (["in", "--out", "out", "--engine", "rai"], "unknown engine `rai`"),
    ],
)
def test_what_cannot_be_done_is_told(gate, folder, arguments, what):
    lines(folder / "in/a.jsonl", "hello")
    ran = gate("check", "--jsonl", *arguments)
    assert ran.code == 2
    assert what in ran.err
    assert "hint: " in ran.err
