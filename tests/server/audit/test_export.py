from __future__ import annotations

import csv
import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from server.audit.database import Database, database_url
from server.audit.errors import AuditError
from server.audit.export import ENDINGS, export
from server.audit.query import Decisions, Filters
from server.audit.row import encode
from server.audit.writer import Writer
from server.record import Record


@pytest.fixture
def decisions(tmp_path: Path, record: Callable[..., Record], told: Callable[..., Record]) -> Iterator[Decisions]:
    database = Database(database_url("", tmp_path))
    plain = [record(model="=1+1", at=1_700_000_000.5 + n) for n in range(1100)]
    Writer(database, tmp_path).write([encode(each, "full") for each in [*plain, told()]], [], "w")
    yield Decisions(database)
    database.close()


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_decision_is_in_the_file_once_and_in_order(decisions: Decisions, tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"out{ending}"
    assert export(file, decisions.all(Filters())) == 1101
    rows = {".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet}[ending](file)
    assert len({row["id"] for row in rows}) == 1101
    assert rows[0]["time"] == "2023-11-14T22:13:20.500+00:00"
    assert rows[-1]["action"] == "block"
    findings = rows[-1]["findings"]
    assert (json.loads(findings) if isinstance(findings, str) else findings)[0]["rule"] == "secret-out"
    # a spreadsheet would take it for a formula
    assert rows[0]["model"] == ("'=1+1" if ending == ".csv" else "=1+1")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not list(tmp_path.glob(".out*"))


def _jsonl(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def _csv(file: Path) -> list[dict[str, object]]:
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def _parquet(file: Path) -> list[dict[str, object]]:
    import pyarrow.parquet as pq

    read = pq.ParquetFile(file)
    assert read.num_row_groups == 2
    rows: list[dict[str, object]] = read.read().to_pylist()
    return rows


def test_an_unknown_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match=r"unknown ending") as caught:
        export(tmp_path / "out.xlsx", [])
    assert ".parquet" in caught.value.hint


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="cannot write"):
        export(tmp_path / "none" / "out.csv", [])
