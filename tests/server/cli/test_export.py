"""`wardlaw export`: the files of a run, anew from its rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from server.cli.main import main


@pytest.fixture
def made(work) -> Path:
    assert main(work.arguments("--limit", "3", "--format", "sft")) == 0
    out: Path = work.out
    return out


def test_a_run_writes_only_the_formats_it_is_asked_for_and_export_the_others_later(made, capsys):
    assert not (made / "preference.jsonl").exists()
    assert main(["export", str(made), "-f", "preference", "-f", "kto"]) == 0
    assert len((made / "preference.jsonl").read_text().splitlines()) == 3
    assert len((made / "kto.jsonl").read_text().splitlines()) == 6
    assert "preference.jsonl: 3 lines" in capsys.readouterr().out


def test_the_place_of_the_reasoning_can_be_changed_afterwards(made):
    def last() -> dict[str, str]:
        line = (made / "sft.jsonl").read_text().splitlines()[0]
        row = json.loads(line)
        message: dict[str, str] = row.get("messages", row.get("completion"))[-1]
        return message

    assert "reasoning_content" in last()
    assert main(["export", str(made), "-f", "sft", "--reasoning", "think"]) == 0
    assert last()["content"].startswith("<think>")
    assert main(["export", str(made), "-f", "sft", "--reasoning", "none"]) == 0
    assert set(last()) == {"role", "content"}


def test_exporting_asks_no_model_and_touches_no_row(made, work):
    requests, before = work.endpoint.requests, (made / "rows.sqlite").read_bytes()
    assert main(["export", str(made)]) == 0
    assert work.endpoint.requests == requests
    assert (made / "rows.sqlite").read_bytes() == before


def test_an_unknown_format_and_a_folder_without_rows_are_said(made, tmp_path, capsys):
    assert main(["export", str(made), "-f", "sfd"]) == 2
    assert "sft" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["export", str(tmp_path / "empty")]) == 2
    assert "holds no rows" in capsys.readouterr().err
