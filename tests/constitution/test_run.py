"""What a folder's rows were made by, and who may write to it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from constitution.run import RUN_FILE, RunError, locked, read_runs, write_runs


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        ({"seed": 1}, ["seed: was `0`, is `1`"]),
        ({"choice": "turn", "rounds": 3}, ["rounds: was `2`, is `3`", "choice: was `evidence`, is `turn`"]),
        (
            {"models": {"answerer": "scripted:b", "critic": "scripted:c", "reviser": "scripted:c"}},
            ["models.answerer: was `scripted:a`, is `scripted:b`"],
        ),
        (
            {"models": {"answerer": "scripted:a", "critic": "scripted:c", "reviser": "scripted:c", "judge": "j"}},
            ["models.judge: was `None`, is `j`"],
        ),
        ({"rules": {"arson": "a2", "doxing": "d1"}}, ["rules changed: `arson`, `burglary`, `doxing`"]),
    ],
)
def test_differences_are_told_one_by_one(determined, changes, said):
    assert determined().differences(determined(**changes)) == said


def test_runs_come_back_in_their_order(determined, tmp_path):
    assert read_runs(tmp_path) == ()
    write_runs(tmp_path, (determined(), determined(seed=9)))
    assert read_runs(tmp_path) == (determined(), determined(seed=9))


def test_a_folder_of_the_first_wardlaw_is_read(determined, tmp_path):
    (tmp_path / RUN_FILE).write_text(determined().model_dump_json())
    assert read_runs(tmp_path) == (determined(),)


@pytest.mark.parametrize("text", ["", "{", "{}", '{"constitution": 3}', "\x00", '{"runs": []}', '{"runs": 3}'])
def test_a_damaged_run_file_is_said_to_be_one(tmp_path, text):
    (tmp_path / RUN_FILE).write_text(text)
    with pytest.raises(RunError, match="is damaged"):
        read_runs(tmp_path)


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
