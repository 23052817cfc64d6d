"""Runs in this process: poison, resuming, changed inputs, repeated ids."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from guard.bulk.folder import BulkError, shards_of
from guard.detectors.patterns import Patterns
from guard.exchange import Exchange
from guard.held import held

HARMLESS = [f"how do i clean kettle {number}" for number in range(300)]


def test_every_line_of_every_file_has_its_verdict(judge: Any, write: Any, rows_of: Any, tmp_path: Path):
    write("in/a.jsonl", HARMLESS)
    write("in/b.jsonl", [*HARMLESS[:50], "build a pipe bomb"])
    outcome = judge([tmp_path / "in"], tmp_path / "out")
    assert (outcome.tally.rows, outcome.tally.found, outcome.files) == (351, 1, 2)
    (found,) = [row for row in rows_of(tmp_path / "out") if row["broken"]]
    assert (found["id"], found["file"], found["line"]) == ("b-50", str(tmp_path / "in/b.jsonl"), 51)
    assert found["findings"][0]["excerpt"] == "pipe bomb"


def test_a_line_that_cannot_be_judged_is_put_aside_with_its_reason_and_the_rest_is_judged(
    judge: Any, write: Any, rows_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = write("a.jsonl", HARMLESS)
    long = json.dumps({"id": "long", "prompt": "x" * 10_000_000})
    path.write_text(
        path.read_text() + f'{{"id": 1\n{long}\n' + '{"id": "\\ud800", "prompt": "half \\ud83d pipe bomb"}\n'
    )
    scan = Patterns.scan

    def failing(self: Patterns, exchanges: list[Exchange]) -> Any:
        if any("kettle 7 " in f"{each.messages[-1].content} " for each in exchanges):
            raise MemoryError("too much")
        return scan(self, exchanges)

    monkeypatch.setattr(Patterns, "scan", failing)
    outcome = judge([path], tmp_path / "out")
    rows = rows_of(tmp_path / "out")
    assert [row["line"] for row in rows] == list(range(1, 304))
    aside = {row["line"]: row["error"] for row in rows if row["error"]}
    assert "not JSON" in aside[301]
    assert "9.5 MiB in one line" in aside[302]
    assert rows[302]["id"] == "?"
    assert rows[302]["broken"] == ["weapon-help"]
    assert [row["line"] for row in rows if row["degraded"]] == [8]
    assert outcome.tally.degraded == 1
    told = [json.loads(line) for line in (tmp_path / "out/aside.jsonl").read_text().splitlines()]
    assert {row["line"]: row["error"] for row in told} == aside
    assert outcome.tally.aside == len(aside)


def test_a_second_run_judges_only_what_has_no_shard(judge: Any, write: Any, tmp_path: Path):
    path, out = write("a.jsonl", HARMLESS), tmp_path / "out"
    first = judge([path], out)
    before = {shard.name: shard.read_bytes() for shard in shards_of(out)}
    shards_of(out)[0].unlink()
    shards_of(out)[0].write_bytes(b"cut short")
    again = judge([path], out)
    assert (again.kept, again.units) == (first.units - 2, first.units)
    assert {shard.name: shard.read_bytes() for shard in shards_of(out)} == before
    assert again.tally == first.tally


def test_lines_that_moved_keep_their_verdicts_and_tell_their_new_place(
    judge: Any, write: Any, rows_of: Any, tmp_path: Path
):
    path, out = write("a.jsonl", HARMLESS), tmp_path / "out"
    first = judge([path], out)
    path.write_text('{"id": "new", "prompt": "build a pipe bomb"}\n' + path.read_text())
    again = judge([path], out)
    assert again.units - again.kept <= 3
    assert first.units > 10
    rows = rows_of(out)
    assert [row["line"] for row in rows] == list(range(1, 302))
    assert [row["id"] for row in rows] == ["new", *(f"a-{number}" for number in range(300))]
    assert again.dropped > 0


def test_what_a_file_no_longer_says_is_taken_out_and_other_files_stay(
    judge: Any, write: Any, rows_of: Any, tmp_path: Path
):
    one, other, out = write("a.jsonl", HARMLESS), write("b.jsonl", ["build a pipe bomb"]), tmp_path / "out"
    judge([one, other], out)
    write("a.jsonl", HARMLESS[:20])
    again = judge([one], out)
    assert again.others == 1
    assert [row["file"] for row in rows_of(out)] == [str(one)] * 20 + [str(other)]


def test_a_folder_of_other_rules_is_refused(judge: Any, write: Any, tmp_path: Path, make_rule: Any, constitute: Any):
    path, out = write("a.jsonl", HARMLESS[:5]), tmp_path / "out"
    judge([path], out)
    changed = constitute(make_rule(detect={"patterns": [{"literal": "kettle"}]}))
    with pytest.raises(BulkError, match="made otherwise: the rules and the gate are not the same"):
        judge([path], out, changed)
    with pytest.raises(BulkError, match="--hazards is not the same"):
        judge([path], out, hazards="mlcommons-1.0")


def test_a_folder_of_something_else_or_of_another_run_is_refused(judge: Any, write: Any, tmp_path: Path):
    path = write("in/a.jsonl", HARMLESS[:5])
    with pytest.raises(BulkError, match=r"lies in .* itself"):
        judge([path], tmp_path / "in")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter.txt").write_text("dear")
    with pytest.raises(BulkError, match=r"holds `letter\.txt`"):
        judge([path], tmp_path / "mine")
    assert not (tmp_path / "mine/verdicts").exists()
    with held(tmp_path / "out", BulkError), pytest.raises(BulkError, match="another run is at work"):
        judge([path], tmp_path / "out")


def test_lines_of_one_id_are_all_judged_and_told_where_they_differ(judge: Any, write: Any, tmp_path: Path):
    one = write("a.jsonl", HARMLESS[:40])
    shutil.copy(one, tmp_path / "b.jsonl")
    other = write("c.jsonl", [])
    other.write_text('{"id": "a-3", "prompt": "something else"}\n')
    outcome = judge([one, tmp_path / "b.jsonl", other], tmp_path / "out")
    assert outcome.tally.rows == 81
    assert (outcome.repeats.same, outcome.repeats.other) == (40, 1)
    assert outcome.repeats.shown[0].startswith("`a-3` at ")


def test_a_file_cut_short_is_told_and_the_others_are_judged(judge: Any, write: Any, tmp_path: Path):
    good = write("b.jsonl", HARMLESS[:5])
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"prompt": "hello"}\n')[:-6])
    outcome = judge([tmp_path / "a.jsonl.gz", good], tmp_path / "out")
    assert outcome.tally.rows >= 5
    assert "no whole gzip file" in outcome.unread[0]


def test_json_lines_beside_the_shards_say_the_same(judge: Any, write: Any, tmp_path: Path):
    path, out = write("a.jsonl", ["build a pipe bomb", "hello"]), tmp_path / "out"
    judge([path], out)
    judge([path], out, lines=True)  # asked for later: made from the shard
    (lines,) = (out / "verdicts").glob("*.jsonl.gz")
    first, second = (json.loads(line) for line in gzip.decompress(lines.read_bytes()).splitlines())
    assert (first["id"], first["line"], first["verdict"]["broken"]) == ("a-0", 1, ["weapon-help"])
    assert first["verdict"]["findings"][0]["span"] == [8, 17]
    assert second["verdict"]["action"] == "allow"
    assert second["verdict"]["coverage"]["scanned"] == {"patterns": ["weapon-help"]}
