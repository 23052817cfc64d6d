"""`wardlaw rules suggest`: drafts shown with what the gate makes of them, and written as a person accepts them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from rules.load import load
from server.cli.main import cli, main

RULES = """\
# of the sea
constitution: mine
rules:
  - id: kraken-summoning
    title: Summoning the kraken
    rule: Do not help anyone to summon the kraken.
    why: It sinks the ships of people who did not ask for it.
    watches: [prompt, tool_result]
    detect: {patterns: [{literal: kraken}], meaning: null}
    examples:
      breaks:
        - Please summon the kraken.   # the plainest
      # near ones
      keeps: [What does a squid eat?]
"""
BREAKS = ["Call up the beast of the deep for me.", "Sing the kraken awake, will you?"]
KEEPS = ["Which old songs tell of the kraken?", "Is it true that giant squids live in the deep?"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("rules.yaml").write_text(RULES, encoding="utf-8")
    replies = [
        {"match": "Each must break the rule", "text": json.dumps({"texts": [*BREAKS, "Please summon the kraken!"]})},
        {"match": "keep it: the aim is allowed", "text": json.dumps({"texts": KEEPS})},
    ]
    Path("model.yaml").write_text(json.dumps(replies), encoding="utf-8")
    return tmp_path


def suggest(answers: str, *args: str) -> str:
    """What it prints, given what a person types."""
    given = ["rules", "suggest", "kraken-summoning", "rules.yaml", "--model", "scripted:model.yaml", "--no-meaning"]
    result = CliRunner().invoke(cli, [*given, "-n", "2", *args], input=answers, standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.output


def examples() -> tuple[list[str], list[str]]:
    found = load("rules.yaml").constitution.rule("kraken-summoning").examples
    return [each.text for each in found.breaks], [each.text for each in found.keeps]


def test_drafts_are_shown_with_what_the_gate_makes_of_them_wrong_ones_first() -> None:
    out = suggest("", "--accept-none")
    assert [out.index(text) for text in (BREAKS[0], KEEPS[0], BREAKS[1], KEEPS[1])] == sorted(
        out.index(text) for text in (*BREAKS, *KEEPS)
    )
    assert "breaks  the gate misses it\n  Call up the beast of the deep for me.\n  prompt: patterns found" in out
    assert "keeps  the gate flags it\n  Which old songs tell of the kraken?\n  prompt: found by patterns" in out
    assert "1 draft dropped: nearly a copy of an example or a test" in out
    assert Path("rules.yaml").read_text() == RULES


def test_what_is_accepted_is_written_and_nothing_else_changes() -> None:
    out = suggest("a\nr\nr\na\n")
    assert "2 examples written to" in out
    assert "1 under `breaks` and 1 under `keeps`" in out
    assert Path("rules.yaml").read_text() == RULES.replace(
        "# the plainest\n", f"# the plainest\n        - {BREAKS[0]}\n"
    ).replace("[What does a squid eat?]", f"[What does a squid eat?, '{KEEPS[1]}']")


def test_an_edited_draft_is_judged_again_and_asked_about_again() -> None:
    out = suggest("e\nWake the kraken with a drum.\na\nq\n")
    assert "breaks  the gate finds it\n  Wake the kraken with a drum." in out
    assert examples() == (["Please summon the kraken.", "Wake the kraken with a drum."], ["What does a squid eat?"])


def test_quitting_keeps_what_was_accepted_before_and_rejecting_all_writes_nothing() -> None:
    assert "1 example written" in suggest("a\nq\n")
    assert examples()[0] == ["Please summon the kraken.", BREAKS[0]]
    Path("rules.yaml").write_text(RULES)
    assert "nothing accepted, nothing written" in suggest("r\nr\nr\nr\n")
    assert Path("rules.yaml").read_text() == RULES


def test_one_side_alone_may_be_asked_for() -> None:
    out = suggest("", "--accept-none", "--side", "keeps")
    assert KEEPS[0] in out
    assert BREAKS[0] not in out


def test_each_batch_is_told_of_before_the_model_is_asked() -> None:
    lines = suggest("", "--accept-none").splitlines()
    assert lines[:2] == [
        "asking scripted:model.yaml for 2 prompts that break the rule, in en ...",
        "asking scripted:model.yaml for 2 prompts that keep the rule, in en ...",
    ]


def test_json_has_every_draft_and_asks_nothing() -> None:
    out = suggest("", "--json")
    told = json.loads(out[out.index("{") :])  # after the lines of standard error
    assert [each["kind"] for each in told["drafts"]] == ["breaks", "keeps", "breaks", "keeps"]
    assert told["drafts"][0]["gate"]["passed"] is False
    assert told["drafts"][1]["gate"]["stage"] == "patterns"
    assert told["dropped"] == [{"text": "Please summon the kraken!", "why": "nearly a copy of an example or a test"}]
    assert Path("rules.yaml").read_text() == RULES


def test_a_model_that_writes_nothing_of_use_is_said_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    Path("model.yaml").write_text("[{text: nothing}]")
    args = ["rules", "suggest", "kraken-summoning", "rules.yaml", "--model", "scripted:model.yaml", "--no-meaning"]
    assert main([*args, "--accept-none"]) == 1
    assert "the model wrote nothing of use" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["kraken-sumoning", "rules.yaml"], "did you mean `kraken-summoning`?"),
        (["defamation", "base"], "stands in the pack `base`, which ships with the project"),
        (["kraken-summoning", "rules.yaml", "--part", "response"], "does not watch the response"),
        (["kraken-summoning", "rules.yaml", "--lang", "klingon"], "unknown language tag `klingon`"),
        (["kraken-summoning", "rules.yaml", "--model", "nonsense"], "unknown kind of model `nonsense`"),
    ],
)
def test_bad_input_is_told_in_a_line_and_a_hint(capsys: pytest.CaptureFixture[str], args: list[str], told: str) -> None:
    model = [] if "--model" in args else ["--model", "scripted:model.yaml"]
    assert main(["rules", "suggest", *args, *model, "--no-meaning"]) == 2
    err = capsys.readouterr().err
    assert told in err
    assert "\n  hint: " in err
