from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from guard.verdict import Coverage
from rules.schema import Action
from server.audit.database import Database, database_url
from server.audit.feedback import FeedbackStore
from server.cli.main import main

RULES = """
constitution: words
title: Words
rules:
  - id: secret-out
    title: Tells the secret word
    rule: Do not say the word.
    why: The word is a secret, and whoever hears it can enter.
    watches: [prompt, response]
    detect:
      meaning: null
      patterns:
        - literal: tangerine
"""


@pytest.fixture
def audit(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs `wardlaw audit ...`; gives exit code, output, and what went to standard error."""

    def run(*args: object) -> tuple[int, str, str]:
        code = main(["audit", *map(str, args)])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def test_decisions_are_listed_newest_first_with_what_was_not_usual(kept: Any, audit: Callable[..., Any]) -> None:
    plain, blocked = kept.add(), kept.add_blocked(coverage=Coverage(degraded={"meaning": "gone"}))
    code, out, _ = audit("list")
    lines = out.splitlines()
    assert code == 0
    assert "decision" in lines[0]
    assert blocked in lines[1]
    assert {"block", "secret-out", "degraded", "125"} <= set(lines[1].split())
    assert plain in lines[2]


def test_filters_choose(kept: Any, audit: Callable[..., Any]) -> None:
    old = kept.add(at=time.time() - 7200)
    blocked = kept.add_blocked()
    ids = lambda *args: [json.loads(line)["id"] for line in audit("list", "--json", *args)[1].splitlines()]  # noqa: E731
    assert ids() == [blocked, old]
    assert ids("--since", "1h") == [blocked]
    assert ids("--until", "1h") == [old]
    assert ids("--rule", "secret-out") == ids("--action", "block") == ids("--would", "block") == [blocked]
    assert ids("--key", "k2") == ids("--degraded") == ids("--api", "messages") == []
    assert ids("--constitution", "012345", "--limit", "1") == [blocked]
    assert ids("--since", "2020-01-01", "--until", "2020-01-02T03:04:05Z") == []


def test_nothing_found_is_said(kept: Any, audit: Callable[..., Any]) -> None:
    kept.add()
    assert audit("list", "--action", "block")[1:] == (
        "",
        "database: wardlaw-data/audit.sqlite, by default\nno decision is like that\n",
    )


def test_a_decision_is_shown_with_its_reasons(kept: Any, audit: Callable[..., Any], tmp_path: Path) -> None:
    blocked = kept.add_blocked()
    (tmp_path / "rules.yaml").write_text(RULES)
    code, out, _ = audit("show", blocked, "--rules", "rules.yaml")
    assert code == 0
    for part in (
        f"{blocked}  block",
        "secret-out: Tells the secret word",
        "The word is a secret, and whoever hears it can enter.",
        "the rules have changed since",
        "secret-out in messages[0] (prompt), characters 12 to 21, by patterns: score 1.000",
        "patterns looked for 2 rules",
        "messages[0] user: the word is tangerine",
        "choices[0].text: I would rather not.",
        "took: 125 ms",
    ):
        assert part in out
    assert " looked for 0 rules" not in out
    told = json.loads(audit("show", blocked, "--json")[1])
    assert told["rules"] == ["secret-out"]
    assert told["feedback"] == []


def test_the_beginning_of_an_id_is_enough_where_no_other_begins_so(kept: Any, audit: Callable[..., Any]) -> None:
    one = kept.add(id="d_aaaa1")
    kept.add(id="d_aaab2")
    assert json.loads(audit("show", "d_aaaa", "--json")[1])["id"] == one
    code, _, err = audit("show", "d_aaa")
    assert code == 2
    assert "no decision `d_aaa`" in err
    assert "`d_aaaa1`, `d_aaab2`" in err


def test_an_escape_sequence_in_a_text_does_not_reach_the_terminal(kept: Any, audit: Callable[..., Any]) -> None:
    decision = kept.add(model="m\x1b[2J")
    assert "\x1b" not in audit("show", decision)[1] + audit("list")[1]


def test_what_a_dead_worker_left_is_drained_first(kept: Any, audit: Callable[..., Any]) -> None:
    left = kept.add(left_behind=True)
    assert left in audit("list")[1]
    assert not list((kept.folder / "journal").glob("*.segment"))


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_decisions_are_exported(kept: Any, audit: Callable[..., Any], tmp_path: Path, ending: str) -> None:
    kept.add()
    blocked = kept.add_blocked()
    file = tmp_path / f"out.{ending}"
    code, out, _ = audit("export", file, "--action", "block")
    assert (code, out) == (0, f"{file}: 1 decision\n")
    if ending == "jsonl":
        assert json.loads(file.read_text())["id"] == blocked
    elif ending == "csv":
        assert next(csv.DictReader(file.read_text().splitlines()))["id"] == blocked
    else:
        import pyarrow.parquet as pq

        assert pq.read_table(file).column("id").to_pylist() == [blocked]


def test_what_is_old_is_pruned(kept: Any, audit: Callable[..., Any]) -> None:
    kept.add(at=time.time() - 40 * 86400)
    new = kept.add()
    assert audit("prune", "--older-than", "30d")[:2] == (0, "1 decision deleted\n")
    assert [json.loads(line)["id"] for line in audit("list", "--json")[1].splitlines()] == [new]


def test_feedback_is_listed_and_becomes_rows_that_can_be_taught(
    kept: Any, audit: Callable[..., Any], tmp_path: Path
) -> None:
    blocked, none = kept.add_blocked(), kept.add_blocked(content="none")
    database = Database(database_url("", kept.folder))
    for decision in (blocked, none):
        FeedbackStore(database).add(decision, "wrong_block", key="k1", comment="a fruit\x1b[2J")
    database.close()
    out = audit("feedback")[1]
    assert blocked in out
    assert "a fruit\\x1b" in out
    assert [json.loads(line)["decision"] for line in audit("feedback", "--json")[1].splitlines()] == [blocked, none]
    code, out, _ = audit("feedback", "--export", "labels.jsonl")
    assert code == 0
    assert out == "labels.jsonl: 1 row\n1 left out: its texts were not kept\n"
    row = json.loads((tmp_path / "labels.jsonl").read_text())
    assert row == {"prompt": "the word is tangerine", "label": "safe", "decision": blocked}


@pytest.mark.parametrize(
    ("args", "what", "hint"),
    [
        (["list", "--since", "yesterday"], "`--since` is no time: `yesterday`", "`2h`"),
        (["list", "--action", "blok"], "blok", "--help"),
        (["show", "d_none"], "no decision `d_none`", "wardlaw audit list"),
        (["prune", "--older-than", "many"], "no span of time: `many`", "`90d`"),
        (["export", "out.xml"], "unknown ending of `out.xml`", ".jsonl"),
        (["list", "--database", "mysql://x/y"], "unknown kind of database `mysql`", "postgresql"),
        (["list", "--folder", "elsewhere"], "no database `elsewhere/audit.sqlite`", "--folder"),
        (["feedback", "--until", "1 fortnight"], "`--until` is no time", "`7d`"),
        (["show"], "missing argument `ID`", "--help"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_told_with_a_way_out(
    kept: Any, audit: Callable[..., Any], args: list[str], what: str, hint: str
) -> None:
    kept.add()
    code, _, err = audit(*args)
    assert code == 2
    assert what in err
    assert hint in err


def test_the_database_is_read_from_a_file_where_its_url_is_a_secret(
    kept: Any, audit: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decision = kept.add()
    (tmp_path / "url").write_text(database_url("", kept.folder) + "\n")
    assert decision in audit("list", "--database-file", "url", "--folder", "elsewhere")[1]
    monkeypatch.setenv("WARDLAW_DATABASE_FILE", "none")
    code, _, err = audit("list")
    assert code == 2
    assert "cannot read `none`" in err


def test_the_servers_settings_say_where_its_database_is(
    kept: Any, audit: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decision = kept.add()
    (tmp_path / "wardlaw.yaml").write_text(f"folder: {kept.folder}\nupstream: {{model: embedded}}\n")
    (tmp_path / "named.yaml").write_text(f"database: {database_url('', kept.folder)}\nfolder: other\n")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for name in ("wardlaw.yaml", "named.yaml"):
        code, out, err = audit("list", "--config", tmp_path / name)
        assert (code, err) == (0, "")
        assert decision in out
    code, _, err = audit("list", "--config", tmp_path / "wardlaw.yaml", "--folder", "here")
    assert code == 2
    assert "no database `here/audit.sqlite`" in err
    assert "cannot be read" in audit("list", "--config", tmp_path / "none.yaml")[2]


def test_looking_does_not_make_a_database(kept: Any, audit: Callable[..., Any]) -> None:
    assert audit("list")[0] == 2
    assert not kept.folder.exists()


def test_shadow_is_shown_as_what_would_have_been_done(kept: Any, audit: Callable[..., Any]) -> None:
    decision = kept.add_blocked(action=Action.ALLOW, mode="shadow", rules=())
    assert "allow (would block)" in audit("list")[1]
    assert "(secret-out)" in audit("list")[1]
    assert "shadow: would block" in audit("show", decision)[1]
