"""`wardlaw rules diff --on audit`: what the server decided, through two versions of the rules."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from guard.exchange import Message
from guard.guarding.incoming import Incoming
from guard.window.outcomes import Channel
from rules.schema import Action
from server.cli.main import main

RULES = """\
constitution: words
title: Words
rules:
  - id: secret-out
    title: Tells the secret word
    rule: Do not say the word.
    why: The word is a secret, and whoever hears it can enter.
    watches: [prompt, response, reasoning, tool_call]
    detect: {meaning: null, patterns: [{literal: tangerine}]}
"""


@pytest.fixture
def diff(kept: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., SimpleNamespace]:
    (tmp_path / "old.yaml").write_text(RULES)
    (tmp_path / "new.yaml").write_text(RULES.replace("tangerine", "thank you"))

    def run(*args: object, on: str = "audit") -> SimpleNamespace:
        capsys.readouterr()
        options = ["--on", on, "--no-meaning", "-q", *map(str, args)]
        code = main(["rules", "diff", "old.yaml", "new.yaml", *options])
        told = capsys.readouterr()
        return SimpleNamespace(code=code, out=told.out, err=told.err)

    return run


def replay(found: SimpleNamespace) -> Any:
    return json.loads(found.out)["replay"]


def test_prompts_and_answers_that_were_kept_are_replayed(kept, diff):
    name = kept.add()
    told = replay(diff("--format", "json"))
    assert told["rows"] == 2
    assert [(flip["id"], flip["part"], flip["text"], flip["direction"]) for flip in told["worst"]] == [
        (name, "prompt", "the word is tangerine", "milder"),
        (name, "response", "thank you", "stricter"),
    ]


def test_an_answer_in_the_guards_own_words_is_not_replayed(kept, diff):
    kept.add_blocked()
    told = replay(diff("--format", "json"))
    assert (told["rows"], told["worst"][0]["part"]) == (1, "prompt")


def test_filters_choose_the_decisions(kept, diff):
    kept.add_blocked()
    kept.add()
    assert replay(diff("--format", "json", "--action", "block"))["rows"] == 1
    assert replay(diff("--format", "json", "--rule", "secret-out"))["rows"] == 1
    assert diff("--since", "2999-01-01").err.splitlines()[-2].startswith("error: no decision is like that")


@pytest.mark.parametrize(
    ("content", "why"),
    [("none", "their texts were not kept"), ("hash", "only hashes of their texts were kept")],
)
def test_decisions_without_texts_are_counted_with_how_to_keep_them(kept, diff, content, why):
    kept.add(content=content)
    kept.add()
    found = diff()
    assert found.code == 0
    assert f"1 of 2 decisions cannot be replayed: {why}" in found.out
    assert "hint: set `audit: {content: full}` in the server's settings" in found.out
    assert f"1 of 2 decisions cannot be replayed: {why}" in diff("--format", "markdown").out


def test_masked_texts_are_other_texts(kept, diff):
    kept.add_blocked(content="redacted")
    kept.add(content="redacted")
    told = replay(diff("--format", "json"))
    assert told["rows"] == 2
    assert told["not_replayed"] == {
        "decisions": 2,
        "unfit": {"what was found in their texts is masked": 1},
        "bad_lines": 0,
    }


def test_nothing_to_replay_is_an_error_and_no_good_sign(kept, diff):
    kept.add(content="none")
    found = diff("--fail-on", "flips")
    assert found.code == 2
    assert "none of 1 decisions can be replayed: of 1 their texts were not kept" in found.err
    assert "hint: set `audit: {content: full}`" in found.err


def test_a_server_that_decided_nothing_is_told_of(diff):
    found = diff()
    assert found.code == 2
    assert "no database" in found.err


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_an_export_is_replayed_as_the_audit_itself(kept, diff, ending):
    turns = (Message("user", "hello"), Message("assistant", "hi", reasoning="tangerine?"), Message("user", "tangerine"))
    answers = ({Channel(): "no", Channel("reasoning"): "a tangerine", Channel("tool", 0): '{"word": "hi"}'},)
    kept.add(prompt=Incoming(turns), answers=answers)
    kept.add_blocked(action=Action.BLOCK)
    kept.add(content="none")
    of_audit = replay(diff("--format", "json"))
    assert main(["audit", "export", f"kept.{ending}"]) == 0
    of_file = replay(diff("--format", "json", on=f"kept.{ending}"))
    assert {**of_file, "source": ""} == {**of_audit, "source": ""}
    assert of_audit["rows"] == 3
    answer = next(flip for flip in of_audit["worst"] if flip["part"] == "response")
    assert (answer["old"]["action"], answer["new"]["action"]) == ("block", "allow")


def test_reasoning_and_calls_of_a_kept_answer_are_judged_with_it(kept, diff):
    kept.add(answers=({Channel(): "no", Channel("tool", 0): '{"word": "thank you"}'},))
    told = replay(diff("--format", "json"))
    assert {(flip["part"], flip["direction"]) for flip in told["worst"]} == {
        ("prompt", "milder"),
        ("response", "stricter"),
    }


def test_a_decision_of_another_form_is_a_bad_line(kept, diff, tmp_path):
    kept.add()
    assert main(["audit", "export", "kept.jsonl"]) == 0
    row = json.loads((tmp_path / "kept.jsonl").read_text())
    lines = [row, {**row, "content": {"prompt": 3}}]
    (tmp_path / "kept.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = diff(on="kept.jsonl")
    assert found.code == 2
    assert "kept.jsonl:2: a decision whose `content` has another form" in found.err
    assert replay(diff("--skip-bad", "--format", "json", on="kept.jsonl"))["not_replayed"]["bad_lines"] == 1


def test_each_text_that_a_moderation_judged_is_judged_alone(kept, diff):
    texts = tuple(Message("user", text) for text in ("a tangerine", "nothing", "of tanger", "ine alone"))
    kept.add(api="moderations", prompt=Incoming(texts), answers=())
    told = replay(diff("--format", "json"))
    assert told["rows"] == 4
    assert [flip["text"] for flip in told["worst"]] == ["a tangerine"]
    assert main(["audit", "export", "kept.jsonl"]) == 0
    again = replay(diff("--format", "json", on="kept.jsonl"))
    assert (again["rows"], again["worst"]) == (4, told["worst"])


def test_all_that_came_since_the_last_answer_is_replayed_and_nothing_before_it(kept, diff, tmp_path):
    for name in ("old.yaml", "new.yaml"):
        path = tmp_path / name
        path.write_text(path.read_text().replace("watches: [prompt,", "watches: [prompt, tool_result,"))
    turns = (
        Message("system", "be kind"),
        Message("user", "a tangerine, long ago"),
        Message("assistant", "", tool_calls=('{"tangerine": 1}', "{}")),
        Message("tool", "first tangerine"),
        Message("tool", "second"),
        Message("user", "and then?"),
    )
    kept.add(prompt=Incoming(turns), answers=({Channel(): "  "},))
    told = replay(diff("--format", "json"))
    assert told["rows"] == 3  # an answer without a word is no text
    assert [(flip["part"], flip["text"]) for flip in told["worst"]] == [("tool_result", "first tangerine")]
