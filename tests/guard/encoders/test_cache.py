"""Kept files: found, found out, made anew, by one process at a time."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from guard.encoders.cache import Made, folder_of, kept


class Maker:
    def __init__(self, **files: bytes) -> None:
        self.calls = 0
        self.files = files or {"a.bin": b"alpha" * 1000}

    def __call__(self) -> Made:
        self.calls += 1
        return Made({"dim": 3}, self.files)


def test_what_was_made_is_found_again(tmp_path: Path):
    maker = Maker()
    kept(tmp_path / "x", "form/1", maker)
    found = kept(tmp_path / "x", "form/1", maker)
    assert maker.calls == 1
    assert found.files == maker.files
    assert found.card["dim"] == 3


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: (folder / "a.bin").write_bytes(b"alpha"),
        lambda folder: (folder / "a.bin").write_bytes(b"alphb" * 1000),
        lambda folder: (folder / "a.bin").unlink(),
        lambda folder: (folder / "card.json").write_text('{"form": "form/1", "fil'),
        lambda folder: (folder / "card.json").write_text("[]"),
        lambda folder: (folder / "card.json").write_text('{"form": "form/1", "files": 3}'),
        lambda folder: (folder / "card.json").write_bytes(b"\xff\xfe"),
    ],
    ids=["cut-off", "changed", "gone", "card-cut-off", "card-list", "card-odd", "card-binary"],
)
def test_harm_is_found_out_and_mended(tmp_path: Path, harm: Any):
    maker = Maker()
    kept(tmp_path / "x", "form/1", maker)
    harm(tmp_path / "x")
    assert kept(tmp_path / "x", "form/1", maker).files == maker.files
    assert maker.calls == 2
    kept(tmp_path / "x", "form/1", maker)
    assert maker.calls == 2


def test_another_form_and_a_stale_card_are_made_anew(tmp_path: Path):
    maker = Maker()
    kept(tmp_path / "x", "form/1", maker)
    kept(tmp_path / "x", "form/2", maker)
    kept(tmp_path / "x", "form/2", maker, stale=lambda card: card["dim"] == 3)
    assert maker.calls == 3


def test_a_folder_that_cannot_be_written_costs_time_alone(tmp_path: Path, caplog: Any):
    (tmp_path / "file").write_text("in the way")
    maker = Maker()
    assert kept(tmp_path / "file" / "deep" / "x", "form/1", maker).files == maker.files
    assert "cannot be written" in caplog.text


def test_of_many_at_once_one_makes_it(tmp_path: Path):
    maker = Maker()
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda _: kept(tmp_path / "x", "form/1", maker), range(16)))
    assert maker.calls == 1
    assert all(made.files == maker.files for made in got)


def test_no_file_in_between_is_left(tmp_path: Path):
    kept(tmp_path / "x", "form/1", Maker())
    assert sorted(file.name for file in (tmp_path / "x").iterdir()) == ["a.bin", "card.json"]
    assert json.loads((tmp_path / "x" / "card.json").read_text())["form"] == "form/1"


def test_identities_that_look_alike_have_folders_of_their_own(tmp_path: Path):
    names = ["a/b@c", "a-b@c", "a/b-c", "x" * 300, "y" + "x" * 300]
    assert len({folder_of(tmp_path, "onnx", name) for name in names}) == len(names)
    assert all(len(folder_of(tmp_path, "onnx", name).parent.name) < 120 for name in names)
