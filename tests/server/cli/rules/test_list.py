"""`wardlaw rules list`: packs without a path, rules with one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rules.files import packs
from rules.load import load
from server.cli.main import main

RULES = """\
constitution: sea
rules:
  - id: kraken-summoning
    title: {en: Summoning the kraken, zh: 召唤海怪}
    rule: Do not help anyone to summon the kraken.
    why: It sinks the ships of people who did not ask for it.
    severity: high
    detect: {patterns: [{literal: kraken}, {literal: squid}], meaning: null, judge: {when: never}}
    on: {prompt: flag}
    mode: shadow
  - id: dull-answers
    title: Dull answers
    rule: Do not be dull.
    why: People leave a dull conversation early.
    detect: null
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rules.yaml").write_text(RULES, encoding="utf-8")


def listed(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    assert main(["rules", "list", *args]) == 0
    return capsys.readouterr().out


def test_without_a_path_the_packs_that_ship_are_listed_with_what_they_are_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = [json.loads(line) for line in listed(capsys, "--json").splitlines()]
    assert [each["name"] for each in told] == packs()
    (base,) = (each for each in told if each["name"] == "base")
    assert (base["title"], base["rules"]) == ("Common hazards", len(load("base").constitution))
    assert base["for"].startswith("the common hazards")
    assert all(each["for"] for each in told)
    table = listed(capsys, "--lang", "zh")
    assert "常见危害" in table


def test_with_a_path_its_rules_are_listed_with_how_they_are_looked_for(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        [cell.strip() for cell in line.split("  ") if cell.strip()]
        for line in listed(capsys, "rules.yaml").splitlines()
    ]
    assert rows == [
        ["rule", "title", "severity", "leads to", "looked for by", "mode"],
        [
            "kraken-summoning",
            "Summoning the kraken",
            "high",
            "flag (prompt); block (response)",
            "2 patterns",
            "shadow",
        ],
        ["dull-answers", "Dull answers", "medium", "nothing", "enforce"],
    ]
    kraken, dull = (json.loads(line) for line in listed(capsys, "rules.yaml", "--json").splitlines())
    assert kraken["actions"] == {"prompt": "flag", "response": "block"}
    assert (kraken["patterns"], kraken["meaning"], kraken["judge"]) == (2, False, "never")
    assert (dull["actions"], dull["judge"]) == ({}, None)


@pytest.mark.parametrize("command", ["show", "explain"])
def test_a_pack_in_the_place_of_a_rule_is_answered_with_the_command_that_lists_it(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert main(["rules", command, "privacy"]) == 2
    assert "`wardlaw rules list privacy` lists " in capsys.readouterr().err


def test_what_is_no_pack_or_language_is_refused_with_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "list", "privcy"]) == 2
    assert "did you mean the pack `privacy`?" in capsys.readouterr().err
    assert main(["rules", "list", "--lang", "klingon"]) == 2
    assert "unknown language tag `klingon`" in capsys.readouterr().err
