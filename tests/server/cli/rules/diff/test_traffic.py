"""Files of texts that both versions judge."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from guard.exchange import Exchange
from server.cli.rules._traffic import Passed, read_traffic
from tests.server.cli.rules.diff.sample import TEXTS


def rows(name: str, **options: Any) -> list[tuple[str, Exchange]]:
    return list(read_traffic(name, Passed(), skip_bad=False, **options))


def test_a_table_is_read_as_lines_are(run, folder):
    out = io.StringIO()
    writer = csv.DictWriter(out, ["id", "prompt", "response"])
    writer.writeheader()
    writer.writerows(TEXTS)
    (folder / "texts.csv").write_text(out.getvalue())
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(TEXTS[2:]), folder / "texts.parquet")
    assert rows("texts.csv") == rows("texts.jsonl")
    assert rows("texts.parquet") == rows("texts.jsonl")[2:]
    told = [
        json.loads(run("old.yaml", "new.yaml", "--on", f"texts.{kind}", "--format", "json").out)
        for kind in ("csv", "jsonl")
    ]
    assert told[0]["replay"]["worst"] == told[1]["replay"]["worst"]


def test_conversations_in_a_table_are_json_text(folder):
    turns = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "you fool"}]
    with (folder / "c.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["messages"], [json.dumps(turns)]])
    ((_, exchange),) = rows("c.csv")
    assert [message.content for message in exchange.messages] == ["hello", "you fool"]


def test_a_bad_line_is_named_or_passed_over(run, folder):
    with (folder / "texts.jsonl").open("a") as lines:
        lines.write("{\n")
    found = run("old.yaml", "new.yaml", "--on", "texts.jsonl")
    assert found.code == 2
    assert found.err.startswith("error: texts.jsonl:5: not JSON")
    found = run("old.yaml", "new.yaml", "--on", "texts.jsonl", "--skip-bad")
    assert found.code == 0
    assert "1 bad line passed over, as texts.jsonl:5: not JSON" in found.out


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("gone.jsonl", None, "gone.jsonl` cannot be read"),
        ("gone.csv", None, "no file `gone.csv`"),
        ("empty.jsonl", "", "`empty.jsonl` has no rows"),
        ("odd.xlsx", "x", "of a kind that is not read"),
        ("list.json", "[3]", "neither a prompt nor an object"),
    ],
)
def test_a_file_that_is_no_texts_is_an_error(run, folder, name, content, what):
    if content is not None:
        (folder / name).write_text(content)
    found = run("old.yaml", "new.yaml", "--on", name)
    assert found.code == 2
    assert what in found.err


def test_filters_of_the_audit_go_with_the_audit(run):
    found = run("old.yaml", "new.yaml", "--since", "7d")
    assert found.code == 2
    assert "hint: it goes with `--on audit`" in found.err
