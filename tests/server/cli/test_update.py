"""`wardlaw generate --update`: after a rule was changed, the rows that depend on it are made anew, and no others."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from constitution.dependents import InForce, depending
from constitution.store import RowStore
from rules import load
from rules.digest import rule_digest
from server.cli.main import main

ROOT = Path(__file__).parents[3]
RULE = """\
  - id: {id}
    title: {id}
    rule: Do not give advice on {id}.
    why: People follow what they are told and some get hurt.
    detect: {{patterns: [{{literal: drink the {id}}}], meaning: null}}
"""
IDS = ("bleach", "paint", "vinegar")


def rules_text(**words: str) -> str:
    """Three rules, some in other words."""
    items = [RULE.format(id=name).replace("Do not give", words.get(name, "Do not give")) for name in IDS]
    return "constitution: test\ntitle: Test\nrules:\n" + "".join(items)


def run(arguments: list[str]) -> int:
    try:
        return main(arguments)
    except SystemExit as end:
        return int(end.code or 0)


def kept(out: Path) -> dict[str, tuple[Any, ...]]:
    """Id -> the row as it lies in the file, byte for byte."""
    with closing(sqlite3.connect(out / "rows.sqlite")) as db:
        return {row[1]: row for row in db.execute("SELECT * FROM rows ORDER BY position")}


def rule_of(row: tuple[Any, ...]) -> str:
    return str(json.loads(row[-1])["rounds"][0]["rule"])


@pytest.fixture
def made(work: Any, capsys: pytest.CaptureFixture[str]) -> Callable[[], dict[str, tuple[Any, ...]]]:
    """Ten rows, each by one rule drawn at random, and the rules."""
    (work.folder / "rules.yaml").write_text(rules_text())
    assert run(work.arguments("--choose", "random", "--rounds", "1", "--seed", "3")) == 0
    capsys.readouterr()
    return lambda: kept(work.out)


def test_only_the_rows_of_the_changed_rule_are_made_anew(work, made, capsys):
    before = made()
    assert {rule_of(row) for row in before.values()} == set(IDS)
    stale = [name for name, row in before.items() if rule_of(row) == "paint"]
    asked = work.endpoint.requests
    (work.folder / "rules.yaml").write_text(rules_text(paint="Never give"))
    assert run(["generate", "--update", str(work.out), "-q"]) == 0
    told = capsys.readouterr().out
    assert f"{len(stale)} of 10 rows in {work.out} depend on changed rules (paint {len(stale)}): about" in told
    after = made()
    assert list(after) == list(before)
    new = rule_digest(load(str(work.folder / "rules.yaml")).constitution.rule("paint"))
    for name, row in after.items():
        assert (row == before[name]) == (name not in stale)
        if name in stale:
            assert json.loads(row[-1])["rounds"][0]["rule_digest"] == new
            assert json.loads(row[-1])["answer"] == json.loads(before[name][-1])["answer"]
    # critique, revision and rationale; the first answers were kept
    assert f"about {3 * len(stale)} model calls" in told
    assert work.endpoint.requests - asked == 3 * len(stale)


def test_a_second_update_has_nothing_to_do(work, made, capsys):
    (work.folder / "rules.yaml").write_text(rules_text(paint="Never give"))
    assert run(["generate", "--update", str(work.out), "-q"]) == 0
    before, asked = made(), work.endpoint.requests
    capsys.readouterr()
    assert run(["generate", "--update", str(work.out), "-q"]) == 0
    assert capsys.readouterr().out == f"none of 10 rows in {work.out} depends on a changed rule\n"
    assert (made(), work.endpoint.requests) == (before, asked)


def test_the_files_and_the_record_of_runs_follow(work, made):
    (work.folder / "rules.yaml").write_text(rules_text(paint="Never give"))
    assert run(["generate", "--update", str(work.out), "-q"]) == 0
    runs = json.loads((work.out / "run.json").read_text())["runs"]
    assert len(runs) == 2
    assert runs[0]["rules"]["paint"] != runs[1]["rules"]["paint"]
    assert runs[0]["models"] == runs[1]["models"]
    finals = {json.loads(row[-1])["final"] for row in made().values() if row[2] == "accepted"}
    lines = [json.loads(line) for line in (work.out / "sft.jsonl").read_text().splitlines()]
    assert {line["completion"][0]["content"] for line in lines} == finals
    # the same prompts under the new rules are no other run
    arguments = work.arguments("--choose", "random", "--rounds", "1", "--seed", "3")
    assert run(arguments) == 0


def test_rows_whose_rule_is_gone_are_made_anew_by_the_others(work, made):
    before = made()
    text = rules_text()
    (work.folder / "rules.yaml").write_text(text[: text.index("  - id: vinegar")])
    assert run(["generate", "--update", str(work.out), "-q"]) == 0
    after = made()
    assert {rule_of(row) for row in after.values()} == {"bleach", "paint"}
    assert all(after[name] == row for name, row in before.items() if rule_of(row) != "vinegar")


def test_a_better_title_makes_nothing_anew(work, made, capsys):
    (work.folder / "rules.yaml").write_text(rules_text().replace("title: paint", "title: Paint and brushes"))
    assert run(["generate", "--update", str(work.out), "-q"]) == 0
    assert "none of 10 rows" in capsys.readouterr().out


def test_a_killed_update_goes_on_where_it_was(work, made):
    before = made()
    changed = rules_text(paint="Never give", bleach="Never give", vinegar="Never give")
    (work.folder / "rules.yaml").write_text(changed)
    work.endpoint.delay_s = 0.15
    command = [sys.executable, "-m", "server.cli.main", "generate", "--update", str(work.out), "--concurrency", "1"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    asked = work.endpoint.requests
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        until = time.monotonic() + 60
        while sum(kept(work.out)[name] != row for name, row in before.items()) < 3 and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    halfway = made()
    done = [name for name, row in before.items() if halfway[name] != row]
    assert 3 <= len(done) < 10
    work.endpoint.delay_s = 0.0
    assert run(["generate", "--update", str(work.out), "-q"]) == 0
    after = made()
    assert [after[name] for name in done] == [halfway[name] for name in done]
    digests = {rule.id: rule_digest(rule) for rule in load(str(work.folder / "rules.yaml")).constitution}
    for row in after.values():
        round_ = json.loads(row[-1])["rounds"][0]
        assert round_["rule_digest"] == digests[round_["rule"]]
    # no call that was answered was made twice; the one in flight when the process died may have been
    assert work.endpoint.requests - asked <= 3 * 10 + 1


def test_a_row_that_a_model_cannot_answer_stays_as_it_was_and_is_tried_again(work, made, capsys):
    before = made()
    (work.folder / "rules.yaml").write_text(rules_text(paint="Never give"))
    good, work.endpoint.fault = work.endpoint.fault, _refuse
    assert run(["generate", "--update", str(work.out), "-q", "--concurrency", "1"]) in (1, 2)
    assert made() == before
    work.endpoint.fault = good
    assert run(["generate", "--update", str(work.out), "-q"]) == 0
    assert made() != before


def _refuse(body: Any, request: Any) -> Any:
    from aiohttp import web

    return web.json_response({"error": {"message": "no"}}, status=400)


def test_another_model_is_refused_unless_mixing_is_asked_for(work, made, capsys):
    (work.folder / "rules.yaml").write_text(rules_text(paint="Never give"))
    before = made()
    update = ["generate", "--update", str(work.out), "-q", "--critic", work.endpoint.model + "-2"]
    assert run(update) == 2
    told = capsys.readouterr().err
    assert "models.critic: was `" in told
    assert "--mixed" in told
    assert made() == before
    assert run([*update, "--mixed"]) == 0
    assert made() != before


def test_options_that_say_how_rows_are_made_do_not_go_with_an_update(work, made, capsys):
    assert run(["generate", "--update", str(work.out), "--seed", "4"]) == 2
    assert "`--seed` does not go with --update" in capsys.readouterr().err
    assert run(["generate", "prompts.txt", "--update", str(work.out)]) == 2
    assert "`PROMPTS` does not go with --update" in capsys.readouterr().err
    assert run(["generate", "-q"]) == 2
    assert "missing argument `PROMPTS...`" in capsys.readouterr().err


def test_a_folder_that_never_recorded_its_settings_asks_for_names_once(work, made, capsys):
    (work.out / "settings.json").unlink()
    rules = work.folder / "rules.yaml"
    rules.write_text(rules_text(paint="Never give"))
    assert run(["generate", "--update", str(work.out), "-q"]) == 2
    assert "say `--rules` and `--model` once" in capsys.readouterr().err
    again = ["generate", "--update", str(work.out), "-q", "-r", str(rules), "--model", work.endpoint.model]
    assert run(again) == 0
    assert (work.out / "settings.json").is_file()


def test_a_damaged_record_is_said(work, made, capsys):
    (work.out / "settings.json").write_text("{")
    assert run(["generate", "--update", str(work.out), "-q"]) == 2
    assert "settings.json` is damaged" in capsys.readouterr().err


def test_a_folder_moved_with_its_rules_still_finds_them(work, made, tmp_path, monkeypatch):
    (work.folder / "rules.yaml").write_text(rules_text(paint="Never give"))
    told = json.loads((work.out / "settings.json").read_text())
    assert told["rules"] == ["../rules.yaml"]
    assert str(tmp_path) not in (work.out / "settings.json").read_text()
    goal = tmp_path / "elsewhere"
    goal.mkdir()
    work.out.rename(goal / "out")
    (work.folder / "rules.yaml").rename(goal / "rules.yaml")
    assert run(["generate", "--update", str(goal / "out"), "-q"]) == 0


def test_a_row_given_up_for_a_rule_that_no_round_was_about_depends_on_it(work, made, row_of):
    with closing(RowStore(work.out)) as store:
        row = next(store.rows())
        other = next(name for name in IDS if name != row.rounds[0].rule)
        store.replace_row(row_of(row, other))
    constitution = load(str(work.folder / "rules.yaml")).constitution
    (work.folder / "rules.yaml").write_text(rules_text(**{other: "Never give"}))
    changed = load(str(work.folder / "rules.yaml")).constitution
    with closing(RowStore(work.out, read_only=True)) as store:
        first = next(store.rows())
        assert InForce(work.out, constitution).stale(first) == ()
        assert InForce(work.out, changed).stale(first) == (other,)
        assert depending(work.out, store, changed).rules.keys() == {other}


@pytest.fixture
def row_of() -> Callable[..., Any]:
    from constitution.row import Rejection

    def given_up(row: Any, rule: str) -> Any:
        detail = f"the gate finds `{rule}` broken by `drink` (patterns, 1.00)"
        rejection = Rejection(stage="checks", reason="still_broken", detail=detail)
        return row.model_copy(update={"status": "rejected", "rejection": rejection})

    return given_up


def test_rules_diff_says_beforehand_which_rows_depend_on_changed_rules(work, made, capsys):
    old = work.folder / "old.yaml"
    old.write_text(rules_text())
    (work.folder / "rules.yaml").write_text(rules_text(paint="Never give"))
    count = sum(rule_of(row) == "paint" for row in made().values())
    assert run(["rules", "diff", str(old), str(work.folder / "rules.yaml"), "--data", str(work.out)]) == 0
    told = capsys.readouterr().out
    assert f"{count} of 10 training rows depend on changed rules" in told
    assert f"  paint: {count}" in told
    assert f"`wardlaw generate --update {work.out}` makes these anew: about {3 * count} model calls" in told
    both = ["rules", "diff", str(old), str(work.folder / "rules.yaml"), "--data", str(work.out), "--format"]
    assert run([*both, "json"]) == 0
    assert json.loads(capsys.readouterr().out)["data"]["rules"] == {"paint": count}
    assert run([*both, "markdown"]) == 0
    assert f"| `paint` | {count} |" in capsys.readouterr().out


def test_a_folder_without_rows_is_told_of(work, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert run(["generate", "--update", str(tmp_path / "empty")]) == 2
    assert "holds no rows of a run" in capsys.readouterr().err
    rules = str(work.folder / "rules.yaml")
    assert run(["rules", "diff", rules, rules, "--data", str(tmp_path / "empty")]) == 2
    assert "holds no rows" in capsys.readouterr().err
