"""What a folder's rows were made by, and who may write to it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from constitution.run import RULES_FILE, RUN_FILE, Determined, RunError, claim, locked, read_constitution, read_run


def determined(**changes: Any) -> Determined:
    fields: dict[str, Any] = {
        "constitution": "c1",
        "constitution_name": "house",
        "rules": {"arson": "a1", "burglary": "b1"},
        "templates": "t1",
        "gate": "patterns",
        "models": {"answerer": "scripted:a", "critic": "scripted:c"},
        "sampling": {"answerer": {"temperature": 1.0}},
        "rounds": 2,
        "choice": "evidence",
        "samples": 1,
        "seed": 0,
    }
    return Determined(**{**fields, **changes})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        ({"seed": 1}, ["seed: was `0`, is `1`"]),
        ({"choice": "turn", "rounds": 3}, ["rounds: was `2`, is `3`", "choice: was `evidence`, is `turn`"]),
        (
            {"models": {"answerer": "scripted:b", "critic": "scripted:c"}},
            ["models.answerer: was `scripted:a`, is `scripted:b`"],
        ),
        (
            {"models": {"answerer": "scripted:a", "critic": "scripted:c", "judge": "j"}},
            ["models.judge: was `None`, is `j`"],
        ),
        ({"rules": {"arson": "a2", "doxing": "d1"}}, ["rules changed: `arson`, `burglary`, `doxing`"]),
    ],
)
def test_differences_are_told_one_by_one(changes, said):
    assert determined().differences(determined(**changes)) == said


def test_a_folder_is_claimed_once_and_again_by_the_same(tmp_path, sample_constitution):
    assert read_run(tmp_path) is None
    claim(tmp_path, determined(), sample_constitution, mixed=False)
    claim(tmp_path, determined(), sample_constitution, mixed=False)
    assert read_run(tmp_path) == determined()
    kept = read_constitution(tmp_path)
    assert kept is not None
    assert [rule.id for rule in kept] == [rule.id for rule in sample_constitution]


def test_a_folder_of_another_run_is_refused_and_untouched_unless_told(tmp_path, sample_constitution):
    claim(tmp_path, determined(), sample_constitution, mixed=False)
    with pytest.raises(RunError, match=r"made otherwise:\n    seed: was `0`, is `9`") as caught:
        claim(tmp_path, determined(seed=9), sample_constitution, mixed=False)
    assert "--mixed" in caught.value.hint
    assert read_run(tmp_path) == determined()
    claim(tmp_path, determined(seed=9), sample_constitution, mixed=True)
    assert read_run(tmp_path) == determined(seed=9)


@pytest.mark.parametrize("text", ["", "{", "{}", '{"constitution": 3}', "\x00"])
def test_a_damaged_run_file_is_said_to_be_one(tmp_path, text):
    (tmp_path / RUN_FILE).write_text(text)
    with pytest.raises(RunError, match="is damaged"):
        read_run(tmp_path)


def test_rules_that_are_gone_or_damaged_are_none(tmp_path):
    assert read_constitution(tmp_path) is None
    (tmp_path / RULES_FILE).write_text("{")
    assert read_constitution(tmp_path) is None


def test_a_second_run_is_kept_out_by_another_process_and_let_in_after_it(tmp_path):
    root = Path(__file__).parents[2]
    code = f"""
import sys
from pathlib import Path
from constitution.run import locked
with locked(Path({str(tmp_path / "out")!r})):
    print("held", flush=True)
    sys.stdin.read()
"""
    holder = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(RunError, match="another run is at work"), locked(tmp_path / "out"):
            pass
        holder.kill()  # a killed run leaves no lock behind
        holder.wait()
    with locked(tmp_path / "out"):
        pass


def test_a_folder_that_cannot_be_made_is_said_to_be_one(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"), locked(tmp_path / "file" / "out"):
        pass
