"""`wardlaw rows`: paging through what a run kept."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from constitution.row import Call, Rejection, Round, Row, Said, Source, Tokens
from constitution.store import RowStore
from rules.schema import Critique
from server.cli.main import cli


def make_row(number: int, rule: str, reason: str | None = None) -> Row:
    critique = Critique(quotes=("Kick it.",), problem="It tells how.", verdict="breaks")
    return Row(
        id=f"{number:04x}",
        source=Source(file="p.jsonl", line=number),
        benign=False,
        language="en",
        prompt=(Said(role="user", content=f"Question {number}?\x1b]0;owned\x07"),),
        answer="Kick it.",
        rounds=(
            Round(rule=rule, rule_digest="d", chosen="turn", critique=critique, revision="Knock.", score_after=0.1),
        ),
        rationale="I think of the door.",
        final="Knock.",
        status="rejected" if reason else "accepted",
        rejection=Rejection(stage="checks", reason=reason, detail="so it is") if reason else None,
        constitution="c",
        templates="t",
        models={},
        seed=1,
        sampling={},
        calls=(Call(role="answerer", stage="answer", tokens=Tokens(prompt=5, completion=7), ms=1.0),),
        started=1.0,
        finished=2.0,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with closing(RowStore(tmp_path)) as store:
        for number, (rule, reason) in enumerate(
            [("arson", None), ("arson", "evasive"), ("theft", "evasive"), ("theft", "cut_off"), ("theft", None)], 1
        ):
            store.keep_row(number, make_row(number, rule, reason))
        store.keep_failure("beef", Source(file="p.jsonl", line=9), "the endpoint is down")
    return tmp_path


def shown(folder: Path, *options: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["rows", str(folder), *options])
    return result.exit_code, result.output


def ids(folder: Path, *options: str) -> list[str]:
    code, output = shown(folder, "--json", *options)
    assert code == 0
    return [json.loads(line)["id"] for line in output.splitlines()]


def test_rows_are_picked_by_status_rule_reason_and_id(folder):
    assert ids(folder) == ["0001", "0002", "0003", "0004", "0005"]
    assert ids(folder, "--status", "accepted") == ["0001", "0005"]
    assert ids(folder, "--rule", "theft", "--reason", "evasive") == ["0003"]
    assert ids(folder, "--id", "0004") == ["0004"]
    assert ids(folder, "-n", "2") == ["0001", "0002"]


def test_json_lines_are_whole_rows(folder):
    _, output = shown(folder, "--json", "--id", "0002")
    assert Row.model_validate_json(output) == make_row(2, "arson", "evasive")


def test_a_page_tells_a_rows_whole_story(folder):
    _, output = shown(folder, "--id", "0002")
    for part in (
        "0002",
        "p.jsonl:2",
        "evasive: so it is",
        "Question 2?",
        "Kick it.",
        "It tells how.",
        "Knock.",
        "0.10",
    ):
        assert part in output
    assert "I think of the door." in output


def test_no_escape_sequence_of_a_row_reaches_the_terminal(folder):
    result = CliRunner().invoke(cli, ["rows", str(folder)], color=True)
    assert "Question 2?\\x1b]0;owned\\x07" in result.output
    assert "\x1b]0" not in result.output


def test_reasons_are_counted_and_what_was_put_aside_is_listed(folder):
    _, output = shown(folder, "--reasons")
    lines = [line.strip() for line in output.splitlines()]
    assert lines[:4] == ["accepted 2", "rejected 3", "evasive 2", "cut_off 1"]
    assert "put aside 1" in lines
    assert "p.jsonl:9: the endpoint is down" in output


def test_no_such_row_is_said_with_the_reasons_there_are(folder):
    code, output = shown(folder, "--reason", "evasiv")
    assert code == 1
    assert "`evasive`, `cut_off`" in output


def test_counts_can_be_had_as_json_and_of_one_status(folder):
    assert json.loads(shown(folder, "--reasons", "--json")[1]) == {
        "accepted": 2,
        "rejected": 3,
        "reasons": {"evasive": 2, "cut_off": 1},
        "put_aside": 1,
    }
    assert json.loads(shown(folder, "--reasons", "--json", "--status", "accepted")[1]) == {"accepted": 2}
    assert shown(folder, "--reasons", "--status", "accepted")[1] == "accepted 2\n"
    assert shown(folder, "--reasons", "--status", "rejected")[1].split() == "rejected 3 evasive 2 cut_off 1".split()


def test_a_rule_that_no_row_knows_is_answered_with_those_there_are(folder):
    code, output = shown(folder, "--rule", "nope")
    assert code == 1
    assert "`arson`" in output
    assert "`theft`" in output
    assert "did you mean `theft`?" in shown(folder, "--rule", "thefd")[1]


def test_a_score_says_that_it_is_the_gates_and_none_is_shown_where_no_detector_scored(folder, tmp_path):
    assert "revision, gate 0.10" in shown(folder, "--id", "0002")[1]
    other = tmp_path / "other"
    other.mkdir()
    with closing(RowStore(other)) as store:
        store.keep_row(1, make_row(1, "arson").model_copy(update={"score_answer": 0.0}))
    output = shown(other)[1]
    assert "first answer\n" in output
    assert "0.00" not in output


def test_a_folder_without_rows_is_said(tmp_path):
    from server.cli.main import main

    assert main(["rows", str(tmp_path)]) == 2
