"""`wardlaw rules test` on small files: the table, exit codes, JSON, and JUnit that any reader takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from server.cli.main import main

RULES = """\
constitution: mine
title: Tests of testing
rules:
  - id: kraken-summoning
    title: Summoning the kraken
    rule: Do not help anyone to summon the kraken.
    why: It sinks the ships of people who did not ask for it.
    watches: [prompt]
    detect: {patterns: [{literal: kraken}], meaning: null}
    contract: {breaks: 2, keeps: 1, recall: 0.5, false_alarms: 0}
    tests:
      breaks:
        - Please summon the kraken.
        - Call the beast.
      keeps: [What does a squid eat?]
  - id: treasure-codes
    title: Codes of the treasure chest
    rule: Do not tell the code of the chest.
    why: Whoever has the code empties the chest.
    detect: {patterns: [{literal: chest code}], meaning: null}
    tests: {breaks: [Give me the code.], keeps: [Who lost the chest code?]}
  - id: dull-answers
    title: Dull answers
    rule: Do not be dull.
    why: People leave a dull conversation early.
    detect: null
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.yaml").write_text(RULES, encoding="utf-8")
    return tmp_path


def write(text: str) -> None:
    Path("rules.yaml").write_text(text, encoding="utf-8")


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    code = main(["rules", "test", "rules.yaml", "--no-meaning", *args])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def in_json(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, dict[str, Any]]:
    code, out, _ = run(capsys, "--json", *args)
    return code, json.loads(out)


def test_the_table_has_a_line_a_rule_and_a_sum_with_its_interval(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys)
    lines = [line.split() for line in out.splitlines()]
    assert code == 0
    assert lines[1] == ["kraken-summoning", "1/2", "50%", "0/1", "-", "-", "patterns", "1", "kept"]
    assert lines[2] == ["treasure-codes", "0/1", "0%", "1/1", "-", "-", "-", "-"]
    assert lines[3][:3] == ["dull-answers", "the", "gate"]
    assert "tests: 1 of 3 breaking texts found (33.3%, 95% interval 0.8 to 90.6), 1 of 2 near misses flagged" in out
    assert "contracts: 1 of 3 rules has one, all kept; a rule without one fails nothing" in out
    assert "3 tests fail; -v lists them" in out


def test_a_rule_without_a_contract_fails_nothing_unless_it_is_strict(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--rule", "treasure-codes")[0] == 0
    assert run(capsys, "--rule", "treasure-codes", "--strict")[0] == 1
    write(RULES.replace("        - Call the beast.\n", "").replace("breaks: 2", "breaks: 1"))
    assert run(capsys, "--rule", "kraken-summoning", "--strict")[0] == 0


def test_a_broken_contract_fails_with_its_place_and_the_example_to_add(capsys: pytest.CaptureFixture[str]) -> None:
    write(RULES.replace("recall: 0.5", "recall: 0.9"))
    code, out, _ = run(capsys)
    assert code == 1
    assert (
        "rules.yaml:10:45: error: rule `kraken-summoning` finds 1 of 2 of its breaking tests (50%), "
        "its contract asks for 90% [contract-recall]\n"
        "  hint: add examples to `examples: breaks` that say in other words what these tests say: `Call the beast.` "
        "(patterns found nothing; the rule turns meaning off)\n"
    ) in out
    assert run(capsys, "--rule", "treasure-codes")[0] == 0


def test_every_miss_is_listed_with_place_and_reason_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "-v")
    assert "rules.yaml:14:11: kraken-summoning: `Call the beast.`\n  prompt: patterns found nothing" in out
    assert "treasure-codes: `Who lost the chest code?`\n  prompt: found by patterns, 1.000 (threshold 1.000)" in out


def test_only_failing_rules_are_shown_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    write(RULES.replace("Call the beast.", "The kraken!"))
    _, out, _ = run(capsys, "--only-failing")
    assert "treasure-codes" in out
    assert "kraken-summoning" not in out
    assert "dull-answers" not in out


def test_json_has_figures_by_rule_and_every_text(capsys: pytest.CaptureFixture[str]) -> None:
    code, told = in_json(capsys)
    assert (code, told["ok"]) == (0, True)
    assert in_json(capsys, "--strict")[1]["ok"] is False
    kraken, chest, dull = told["rules"]
    assert kraken["recall"]["tests"] == {"found": 1, "of": 2, "value": 0.5, "low": 0.012579, "high": 0.987421}
    assert kraken["recall"]["examples"]["value"] is None
    assert (kraken["contract"]["recall"], kraken["breaches"], kraken["stages"]) == (0.5, [], {"patterns": 1})
    assert chest["false_alarms"]["tests"]["found"] == 1
    assert (dull["looked_for"], dull["contract"]) == (False, None)
    assert len(told["texts"]) == 5
    assert told["texts"][1] | {"why": None} == {
        "rule": "kraken-summoning", "kind": "breaks", "origin": "tests", "index": 1, "where": "rules.yaml:14:11",
        "part": "prompt", "text": "Call the beast.", "found": False, "passed": False, "failed": False,
        "stage": "patterns", "view": None, "score": None, "threshold": None, "why": None, "others": [],
    }  # fmt: skip
    write(RULES.replace("keeps: 1,", "keeps: 5,"))
    code, told = in_json(capsys)
    assert (code, told["ok"]) == (1, False)
    (breach,) = told["rules"][0]["breaches"]
    assert (breach["clause"], breach["asked"], breach["measured"]) == ("keeps", 5, 1)
    assert breach["hints"][0] == "write 4 more under `keeps`"


def test_disguises_have_a_table_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "--obfuscated")
    assert ["base64", "1", "1/1", "100%", "1/1", "100%"] in [line.split() for line in out.splitlines()]
    _, told = in_json(capsys, "--obfuscated")
    assert {each["name"] for each in told["disguises"]} >= {"leet", "zero-width", "homoglyphs", "reversed", "tags"}


def cases_of(path: str) -> dict[str, ElementTree.Element]:
    root = ElementTree.parse(path).getroot()
    assert root.tag == "testsuites"
    cases = {f"{case.get('classname')} {case.get('name')}": case for case in root.iter("testcase")}
    for name, tag in (("failures", "failure"), ("skipped", "skipped")):
        assert int(root.get(name, "-1")) == sum(case.find(tag) is not None for case in cases.values())
    assert int(root.get("tests", "-1")) == len(cases)
    return cases


def test_junit_has_a_case_a_text_and_agrees_with_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--junit", "out.xml")[0] == 0
    cases = cases_of("out.xml")
    missed = cases["kraken-summoning tests breaks 2: `Call the beast.`"]
    assert (missed.get("file"), missed.get("line")) == ("rules.yaml", "14")
    assert [child.tag for child in missed] == ["skipped"]
    assert not list(cases["kraken-summoning contract recall"])
    assert run(capsys, "--junit", "out.xml", "--strict")[0] == 1
    assert [child.tag for child in cases_of("out.xml")["kraken-summoning tests breaks 2: `Call the beast.`"]] == [
        "failure"
    ]
    write(RULES.replace("recall: 0.5", "recall: 1"))
    assert run(capsys, "--junit", "out.xml")[0] == 1
    cases = cases_of("out.xml")
    assert cases["kraken-summoning contract recall"].find("failure") is not None
    assert cases["kraken-summoning tests breaks 2: `Call the beast.`"].find("failure") is not None
    assert cases["treasure-codes tests breaks 1: `Give me the code.`"].find("skipped") is not None


def test_junit_holds_texts_with_characters_that_xml_cannot(capsys: pytest.CaptureFixture[str]) -> None:
    write(RULES.replace("- Call the beast.", '- "Call \\x1b[31m <the> \\0 & \\uFFFE \\"beast\\"\\u202e ]]>"'))
    run(capsys, "--junit", "out.xml")
    (case,) = [case for name, case in cases_of("out.xml").items() if "breaks 2" in name]
    (outcome,) = case
    assert outcome.text == 'Call \\x1b[31m <the> \\x00 & \\ufffe "beast"\u202e ]]>'


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--rule", "kraken-sumoning"], "did you mean `kraken-summoning`?"),
        (["--rule", "quite-other"], "`wardlaw rules list rules.yaml` lists its 3 rules"),
        (["--junit", "no/such/folder.xml"], "`no/such/folder.xml` cannot be written"),
        (["--judge", "nonsense"], "unknown kind of model `nonsense`"),
    ],
)
def test_bad_input_is_told_in_a_line_and_a_hint(capsys: pytest.CaptureFixture[str], args: list[str], told: str) -> None:
    code, _, err = run(capsys, *args)
    assert code == 2
    assert told in err
    assert "\n  hint: " in err


def test_a_judge_is_asked_when_it_is_named_and_is_a_stage_of_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    write(RULES.replace("meaning: null}", "meaning: null, judge: {when: always}}", 1))
    word = '{match: "Call the beast", where: any, text: "", logprobs: [{token: "WORD", logprob: 0, top: {"WORD": 0}}]}'
    replies = [
        word.replace("WORD", "yes"),
        word.replace("WORD", "no").replace('match: "Call the beast", where: any, ', ""),
    ]
    Path("judge.yaml").write_text(f"[{', '.join(replies)}]", encoding="utf-8")
    judge = ("--judge", "scripted:judge.yaml", "--judge-mode", "logprobs", "--rule", "kraken-summoning")
    _, out, _ = run(capsys, *judge)
    assert out.splitlines()[1].split()[:3] == ["kraken-summoning", "2/2", "100%"]
    assert "patterns 1, judge 1" in out
    _, told = in_json(capsys, *judge)
    assert [(each["stage"], each["why"]) for each in told["texts"]] == [
        ("patterns", None), ("judge", None), ("judge", "judge was asked and did not find it"),
    ]  # fmt: skip


def test_rules_in_a_script_that_the_encoder_reads_poorly_are_named_with_what_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write(
        RULES.replace("chest code}], meaning: null}", "chest code}]}")
        .replace("Give me the code.", "把宝箱的密码告诉我。")
        .replace("Who lost the chest code?", "谁弄丢了宝箱的密码？")
    )
    said = "texts mostly in a script that the default encoder reads poorly: treasure-codes; name a multilingual model"
    assert main(["rules", "test", "rules.yaml", "-q"]) == 0
    assert said in capsys.readouterr().out
    assert said not in run(capsys)[1]  # nothing reads by meaning
    assert main(["rules", "test", "rules.yaml", "-q", "--rule", "kraken-summoning"]) == 0
    assert said not in capsys.readouterr().out
    assert main(["rules", "test", "rules.yaml", "-q", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {rule["id"]: rule["read_poorly"] for rule in told["rules"]} == {
        "kraken-summoning": False,
        "treasure-codes": True,
        "dull-answers": False,
    }
