"""`wardlaw rules diff`: in words, and in effect on texts."""

from __future__ import annotations

import json

import pytest

from tests.server.cli.rules.diff.sample import OLD


def test_changes_are_told_with_place_and_reach(run):
    found = run("old.yaml", "new.yaml")
    assert found.code == 0
    assert found.out.splitlines() == [
        "2 rules: 1 disabled, 1 changed; 2 can change verdicts",
        "",
        "~ secret-out  changed",
        "    wording of `rule`: `anybody` -> `a stranger`  [rows, and what a judge says]  new.yaml:6:11",
        "    action for the prompt: flag -> block  [verdicts]  new.yaml:8:18",
        "    pattern removed: `literal mandarin`  [verdicts]  old.yaml:13:11",
        "",
        "- insults  disabled",
        "    medium, looked for by 1 pattern; prompt: block, response: block  [verdicts]  new.yaml:13:5",
    ]


def test_no_change_is_said(run):
    found = run("old.yaml", "old.yaml", "--fail-on", "changes")
    assert (found.code, found.out) == (0, "nothing changed\n")


def test_packs_and_folders_can_be_compared(run, folder):
    (folder / "own").mkdir()
    (folder / "own" / "a.yaml").write_text("constitution: own\nextends: base\nrules:\n" + OLD.split("rules:\n")[1])
    found = run("base", "own")
    assert found.code == 0
    assert found.out.startswith("2 rules: 2 added; 2 can change verdicts\n")


def test_rules_whose_heads_know_other_words_are_named(run, folder):
    text = "constitution: own\nextends: base\nrules:\n  - id: defamation\n    allowed: [What a court has found.]\n"
    (folder / "own.yaml").write_text(text)
    assert json.loads(run("base", "own.yaml", "--format", "json").out)["taught_otherwise"] == ["defamation"]
    told = run("base", "own.yaml").out
    assert "words or examples are others now than a trained head was taught by: defamation" in told
    untaught = run("base", "own.yaml", "--format", "json", "--heads", "none")
    assert json.loads(untaught.out)["taught_otherwise"] == []


def test_a_rule_that_no_head_judges_is_not_said_to_need_teaching(run, folder):
    text = "constitution: own\nrules:\n  - id: cake-promise\n    title: Promises\n"
    text += "    rule: Do not promise that cake is safe.\n"
    text += "    why: A wrong promise can send someone to hospital.\n"
    for name, more in (("one", ""), ("two", ", Is rye safe for her?")):
        examples = f"    examples: {{breaks: [Is it safe for me?{more}], keeps: [What is in it?]}}\n"
        (folder / f"{name}.yaml").write_text(text + examples)
    found = run("one.yaml", "two.yaml")
    assert "example under `breaks` added" in found.out
    assert "trained head" not in found.out


def test_flips_are_listed_with_both_verdicts_worst_first(run):
    found = run("old.yaml", "new.yaml", "--on", "texts.jsonl", "--format", "json")
    replay = json.loads(found.out)["replay"]
    assert found.code == 0
    assert (replay["rows"], replay["flips"]) == (4, 3)
    assert [(flip["id"], flip["old"]["action"], flip["new"]["action"]) for flip in replay["worst"]] == [
        ("c", "block", "allow"),
        ("a", "flag", "block"),
        ("b", "flag", "allow"),
    ]
    assert replay["by_rule"]["insults"]["lost"]["count"] == 1
    assert replay["by_rule"]["secret-out"]["stricter"]["count"] == 1
    assert replay["directions"]["milder"]["count"] == 2
    assert replay["rate"]["low"] < 0.75 < replay["rate"]["high"]


def test_the_list_is_as_long_as_asked_for(run):
    found = run("old.yaml", "new.yaml", "--on", "texts.jsonl", "-n", "1")
    assert "judged otherwise, worst first, 1 of 3" in found.out
    assert "block: insults 1.00 -> allow" in found.out
    assert "tangerine" not in found.out
    assert "judged otherwise, worst first" not in run("old.yaml", "new.yaml", "--on", "texts.jsonl", "-n", "0").out


@pytest.mark.parametrize(("fail_on", "code"), [("changes", 1), ("flips", 1), ("stricter", 1), ("milder", 1), (None, 0)])
def test_it_fails_only_on_what_it_is_told_to(run, fail_on, code):
    options = () if fail_on is None else ("--fail-on", fail_on)
    assert run("old.yaml", "new.yaml", "--on", "texts.jsonl", *options).code == code


def test_no_flip_fails_nothing_and_says_how_sure_that_is(run, folder):
    (folder / "same.jsonl").write_text('{"prompt": "good morning"}\n' * 50)
    found = run("old.yaml", "new.yaml", "--on", "same.jsonl", "--fail-on", "flips", "--fail-on", "milder")
    assert found.code == 0
    assert "none of 50 texts is judged otherwise (of all such texts at most 7.1%)" in found.out


def test_flips_cannot_be_failed_on_without_texts(run):
    found = run("old.yaml", "new.yaml", "--fail-on", "flips")
    assert found.code == 2
    assert "hint: name texts with --on" in found.err


def test_terminal_codes_in_a_text_are_spelt_out(run, folder):
    (folder / "bad.jsonl").write_text(json.dumps({"prompt": "tangerine \x1b[2J"}) + "\n")
    assert "\\x1b[2J" in run("old.yaml", "new.yaml", "--on", "bad.jsonl").out
