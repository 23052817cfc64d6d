"""A text that kills whoever judges it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from guard.bulk.marks import Marks


def test_a_line_at_which_two_workers_died_alone_is_deadly_and_others_are_not(tmp_path: Path):
    assert not Marks(tmp_path, "u").careful  # and it dies, in a batch
    for _ in range(2):
        marks = Marks(tmp_path, "u")
        assert marks.careful
        assert not marks.deadly(4)
        marks.at(3)
        marks.at(4)  # and it dies
    marks = Marks(tmp_path, "u")
    assert marks.deadly(4)
    assert not marks.deadly(3)
    marks.clear()
    assert not Marks(tmp_path, "u").careful


def test_a_mark_half_written_is_one(tmp_path: Path):
    (tmp_path / "u.json").write_text('{"at": 3, "dea')
    assert Marks(tmp_path, "u").careful


def test_runs_that_die_at_a_text_come_past_it_when_they_are_begun_again(
    watching: Any, write: Any, rows_of: Any, tmp_path: Path
):
    path, out = write("a.jsonl", [*("fine" * 3), "deadly", "bad"]), tmp_path / "out"
    for _ in range(3):  # in a batch, and twice alone
        process = watching.begin(out, [path])
        process.communicate()
        assert process.returncode == -9
    told = watching.run(out, [path])
    assert (told["rows"], told["found"]) == (13, 1)
    assert "2 workers died while they judged it alone" in told["aside"][0]
    assert rows_of(out)[12]["id"] == "a-12"
