"""Files are whole or not there, and rows are streamed."""

from __future__ import annotations

import json
import os
import tracemalloc

import pyarrow.parquet as pq
import pytest

from constitution.formats import FormatError, files, write_format, write_formats


@pytest.mark.parametrize("parquet", [False, True])
def test_a_run_that_breaks_in_the_middle_leaves_the_old_file(parquet, row_with, tmp_path):
    before = write_format("sft", lambda: [row_with()], tmp_path, parquet=parquet).path.read_bytes()

    def rows():
        yield row_with()
        raise RuntimeError("the power went")

    with pytest.raises(RuntimeError, match="the power went"):
        write_format("sft", rows, tmp_path, parquet=parquet)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]


@pytest.mark.parametrize("parquet", [False, True])
def test_the_same_rows_give_the_same_bytes(parquet, sample_rows, options, tmp_path):
    def write(folder):
        written = write_format("critic", lambda: sample_rows, tmp_path / folder, parquet=parquet, options=options)
        return written.path.read_bytes()

    assert write("one") == write("two")


def test_a_folder_that_cannot_be_written_is_named(row_with, tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(FormatError, match=r"cannot write `.*taken"):
        write_format("sft", lambda: [row_with()], tmp_path / "taken")


@pytest.mark.parametrize("parquet", [False, True])
def test_a_full_disk_is_said_and_leaves_nothing_half_written(parquet, row_with, tmp_path, monkeypatch):
    monkeypatch.setattr(files.os, "fsync", _no_space)
    with pytest.raises(FormatError, match="No space left on device"):
        write_format("sft", lambda: [row_with()], tmp_path, parquet=parquet)
    assert list(tmp_path.iterdir()) == []


def _no_space(_: int) -> None:
    raise OSError(28, "No space left on device")


def test_a_text_is_put_in_its_place_whole_or_not_at_all(tmp_path, monkeypatch):
    path = files.write_text(tmp_path / "README.md", "old")
    monkeypatch.setattr(files.os, "fsync", _no_space)
    with pytest.raises(FormatError):
        files.write_text(path, "new")
    assert [item.read_text() for item in tmp_path.iterdir()] == ["old"]


def test_several_formats_take_one_pass_over_the_rows(sample_rows, options, tmp_path):
    passes = []

    def rows():
        passes.append(1)
        return iter(sample_rows)

    written = write_formats(["sft", "kto", "sft"], rows, tmp_path, options=options)
    assert [item.name for item in written] == ["sft", "kto"]
    assert len(passes) == 1


def test_parquet_is_written_in_row_groups(row_with, tmp_path):
    count = 2 * files.BLOCK + 1
    written = write_format("sft", lambda: (row_with(id=f"row-{at}") for at in range(count)), tmp_path, parquet=True)
    table = pq.ParquetFile(written.path)
    assert table.num_row_groups == 3
    assert [item["id"] for item in table.read(["wardlaw"])["wardlaw"].to_pylist()] == [
        f"row-{at}" for at in range(count)
    ]


def test_memory_stays_flat_however_many_rows_come(row_with, tmp_path):
    def peak(count):
        tracemalloc.start()
        write_formats(["sft", "preference", "gate"], lambda: (row_with() for _ in range(count)), tmp_path)
        high = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return high

    peak(10)
    assert peak(2000) < 2**20, "held rows would be several times that"


def test_a_line_separator_inside_a_text_does_not_break_the_line(row_with, tmp_path):
    text = "one\u2028two\u0085three\nfour"
    written = write_format("sft", lambda: [row_with(final=text)], tmp_path)
    with written.path.open(encoding="utf-8", newline="\n") as lines:
        assert [json.loads(line)["completion"][0]["content"] for line in lines] == [text]


@pytest.mark.parametrize("parquet", [False, True])
def test_the_twin_with_the_other_suffix_goes_when_a_file_is_written(parquet, row_with, tmp_path):
    old = write_format("sft", lambda: [row_with()], tmp_path, parquet=not parquet).path
    other = write_format("kto", lambda: [row_with()], tmp_path, parquet=not parquet).path
    new = write_format("sft", lambda: [row_with()], tmp_path, parquet=parquet).path
    assert not old.exists()
    assert {path.name for path in tmp_path.iterdir()} == {new.name, other.name}


def test_a_file_that_breaks_leaves_its_twin(row_with, tmp_path, monkeypatch):
    old = write_format("sft", lambda: [row_with()], tmp_path).path
    monkeypatch.setattr(files.os, "fsync", _no_space)
    with pytest.raises(FormatError):
        write_format("sft", lambda: [row_with()], tmp_path, parquet=True)
    assert list(tmp_path.iterdir()) == [old]


def test_of_two_twins_that_a_kill_left_the_newer_counts(row_with, tmp_path):
    old = write_format("sft", lambda: [row_with()], tmp_path).path.read_bytes()
    new = write_format("sft", lambda: [row_with(), row_with(id="b")], tmp_path, parquet=True).path
    (tmp_path / "sft.jsonl").write_bytes(old)
    os.utime(tmp_path / "sft.jsonl", ns=(0, 0))
    (found,) = files.present(["sft", "kto"], tmp_path)
    assert (found.path, found.lines) == (new, 2)


def test_a_parquet_file_that_is_none_is_said_to_be_none(tmp_path):
    (tmp_path / "sft.parquet").write_text("PAR")
    with pytest.raises(FormatError, match="is no Parquet file"):
        files.present(["sft"], tmp_path)
