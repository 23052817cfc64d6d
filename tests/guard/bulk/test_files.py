"""Files and their lines."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from guard.bulk import files
from guard.training.rows import LabelError


def test_lines_packed_lines_and_parquet_say_the_same(tmp_path: Path):
    rows = [{"id": "a", "prompt": "one"}, {"id": "b", "prompt": "två"}]
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    (tmp_path / "p.jsonl").write_bytes(text)
    (tmp_path / "q.jsonl.gz").write_bytes(gzip.compress(text))
    pq.write_table(pa.Table.from_pylist([{**row, "other": 1} for row in rows]), tmp_path / "r.parquet")
    read = [[json.loads(raw.data) for raw in files.read(name)] for name in files.find([str(tmp_path)])]
    assert read == [rows, rows, rows]


def test_a_line_too_long_is_passed_over_and_the_next_keeps_its_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(files, "LONGEST", 100)
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"first\n\n" + b"x" * 1000 + b"\n" + b"y" * 100 + b"\n" + b"z" * 101)
    read = list(files.read(str(path)))
    assert [(raw.number, raw.too_long) for raw in read] == [(1, False), (3, True), (4, False), (5, True)]
    assert len(read[1].data) == 16


def test_a_packed_file_that_ends_too_soon_gives_what_it_has_and_says_so(tmp_path: Path):
    path = tmp_path / "a.jsonl.gz"
    lines = b"".join(b'{"prompt": "%d"}\n' % number for number in range(100_000))
    path.write_bytes(gzip.compress(lines)[:-5000])
    read = []
    with pytest.raises(LabelError, match="no whole gzip file"):
        for raw in files.read(str(path)):
            read.append(raw)  # noqa: PERF402  # the error comes in between
    assert len(read) > 10_000


def test_patterns_and_folders_are_found_once_each_and_nothing_is_an_error(tmp_path: Path):
    for name in ("a.jsonl", "b.jsonl", "c.txt"):
        (tmp_path / name).write_text("{}\n")
    both = [str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl")]
    assert files.find([str(tmp_path / "*.jsonl"), str(tmp_path)]) == both
    for name in ("d.jsonl", "*.csv"):
        with pytest.raises(LabelError, match="no file"):
            files.find([str(tmp_path / name)])
    (tmp_path / "empty").mkdir()
    with pytest.raises(LabelError, match="holds no file to judge"):
        files.find([str(tmp_path / "empty")])
