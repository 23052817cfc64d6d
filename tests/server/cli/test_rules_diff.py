"""`wardlaw rules diff`: two versions of rules, from files and from git, in words and on texts."""

from __future__ import annotations

import csv
import html
import io
import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from guard.exchange import Exchange
from guard.flips import Flip, Outcome
from guard.training.metrics import share
from rules.schema import Action
from server.cli.main import main
from server.cli.rules._diff_markdown import code
from server.cli.rules._figures import percent, percent_of
from server.cli.rules._report import Worst
from server.cli.rules._revisions import Revision
from server.cli.rules._traffic import Passed, read_traffic

GOLDEN = Path(__file__).parent / "golden"
HOSTILE = "</details></code> @octocat | `x` [a](http://b.example) <img src=x> #12 www.b.example\n# Big ![](y)"
OLD = """\
constitution: words
title: Words
rules:
  - id: secret-out
    title: Tells the secret word
    rule: Do not say the secret word to anybody.
    why: The word is a secret, and whoever hears it can enter.
    on: {prompt: flag}
    detect:
      meaning: null
      patterns:
        - literal: tangerine
        - literal: mandarin
  - id: insults
    title: Insults
    rule: Do not insult the user.
    why: An insult hurts and helps nobody.
    detect: {patterns: [{literal: you fool}], meaning: null}
"""
NEW = (
    OLD.replace("flag", "block")
    .replace("        - literal: mandarin\n", "")
    .replace("secret word to anybody", "secret word to a stranger")
    .replace("  - id: insults\n", "  - id: insults\n    disabled: true\n")
)
TEXTS = [
    {"id": "a", "prompt": "one tangerine please"},
    {"id": "b", "prompt": "one mandarin please"},
    {"id": "c", "prompt": "good morning", "response": "you fool"},
    {"id": "d", "prompt": "good morning"},
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, text in (("old.yaml", OLD), ("new.yaml", NEW)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    lines = "".join(json.dumps(each) + "\n" for each in TEXTS)
    (tmp_path / "texts.jsonl").write_text(lines, encoding="utf-8")
    return tmp_path


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., SimpleNamespace]:
    def diff(*args: object, model: bool = False) -> SimpleNamespace:
        capsys.readouterr()
        code = main(["rules", "diff", *map(str, args), "-q", *(() if model else ("--no-meaning",))])
        told = capsys.readouterr()
        return SimpleNamespace(code=code, out=told.out, err=told.err)

    return diff


@pytest.fixture
def git(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """A repository with the rules of before in its first commit."""
    for name, value in (("GIT_CONFIG_GLOBAL", os.devnull), ("GIT_CONFIG_SYSTEM", os.devnull)):
        monkeypatch.setenv(name, value)
    for name in ("GIT_AUTHOR", "GIT_COMMITTER"):
        monkeypatch.setenv(f"{name}_NAME", "a")
        monkeypatch.setenv(f"{name}_EMAIL", "a@b")

    def call(*args: str) -> str:
        return subprocess.run(["git", *args], check=True, capture_output=True, text=True).stdout

    call("init", "-q", "-b", "main")
    Path("rules.yaml").write_text(OLD, encoding="utf-8")
    call("add", "rules.yaml")
    call("commit", "-q", "-m", "first")
    Path("rules.yaml").write_text(NEW, encoding="utf-8")
    return call


# -- in words


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
    text = "constitution: own\nextends: base\nrules:\n  - id: defamation\n    rule: Do not defame anybody.\n"
    (folder / "own.yaml").write_text(text)
    told = json.loads(run("base", "own.yaml", "--format", "json").out)
    assert told["taught_otherwise"] == ["defamation"]


# -- in effect


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


# -- Markdown


def golden(name: str, text: str) -> None:
    """Compare with a kept file; `WARDLAW_GOLDEN=write` writes it."""
    file = GOLDEN / name
    if os.environ.get("WARDLAW_GOLDEN") == "write":
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


def test_the_comment_reads_as_it_did(run, folder):
    with (folder / "texts.jsonl").open("a") as lines:
        lines.write(json.dumps({"id": "e @octocat", "prompt": f"tangerine {HOSTILE}"}) + "\n")
    found = run("old.yaml", "new.yaml", "--on", "texts.jsonl", "--format", "markdown")
    golden("rules_diff.md", found.out)
    assert found.out.splitlines()[0].startswith("**2 rules: 1 disabled, 1 changed; 2 can change verdicts; 4 of 5 texts")


@pytest.mark.parametrize(
    "text", [HOSTILE, "`a` ``b``", "<!-- x", "&lt; &#64;octocat", "\u202eabc", "a\n\n## b", "@a@b.example"]
)
def test_nobodys_text_can_break_a_page_or_name_a_person(text):
    made = code(text)
    inside = made.removeprefix("<code>").removesuffix("</code>")
    assert not re.search(r"[<>@`|\[\]!\n*_#:](?!\d)", inside.replace("&#", ""))
    assert not re.search(r"&(?!#\d+;)", inside)
    assert not re.search(r"@\w", html.unescape(inside))
    assert "www." not in inside
    assert html.unescape(inside).replace("\u200b", "").split()[0] in " ".join(text.split()).replace("\u202e", "\\u202e")


def test_the_rules_own_texts_are_shown_as_text(run, folder):
    quoted = json.dumps(f"Do not say {HOSTILE}")
    (folder / "new.yaml").write_text(OLD.replace("Do not say the secret word to anybody.", quoted), encoding="utf-8")
    out = run("old.yaml", "new.yaml", "--format", "markdown").out
    assert "@octocat" not in html.unescape(out)
    assert "<img" not in out
    assert out.count("</details>") == out.count("<details>")


def test_a_comment_is_never_longer_than_a_forge_takes(run, folder):
    rule = "    title: A\n    rule: Do not say {}.\n    why: It hurts somebody else.\n    detect: null\n"
    many = "".join(f"  - id: rule-{n}\n" + rule.format("*" * 90) for n in range(1500))
    (folder / "many.yaml").write_text("constitution: many\nrules:\n" + many)
    (folder / "other.yaml").write_text("constitution: many\nrules:\n" + many.replace("*", "_"))
    lines = "".join(json.dumps({"prompt": f"tangerine {'|' * 300} {n}"}) + "\n" for n in range(300))
    (folder / "long.jsonl").write_text(lines)
    changed = run("many.yaml", "other.yaml", "--format", "markdown").out
    flipped = run("old.yaml", "new.yaml", "--on", "long.jsonl", "-n", "300", "--format", "markdown").out
    for out in (changed, flipped):
        assert 10_000 < len(out) < 65_536
        assert out.count("<details>") == out.count("</details>") == 1
        assert re.search(r"\.\.\. and [\d,]+ more", out)


# -- git


def test_a_file_is_compared_with_a_revision_of_it(run, git):
    found = run("HEAD:rules.yaml", "rules.yaml")
    assert found.code == 0
    assert "action for the prompt: flag -> block  [verdicts]  rules.yaml:8:18" in found.out
    assert "pattern removed: `literal mandarin`  [verdicts]  HEAD:rules.yaml:13:11" in found.out


def test_two_revisions_are_compared_and_the_working_tree_is_left_alone(run, git, folder):
    git("commit", "-q", "-am", "second")
    (folder / "rules.yaml").write_text("broken: [")
    found = run("HEAD~1:rules.yaml", "main:rules.yaml", "--format", "json")
    assert json.loads(found.out)["effect"] == "verdict"
    assert git("status", "--short").splitlines()[0] == " M rules.yaml"


def test_what_a_file_extends_is_taken_from_the_same_revision(run, git, folder):
    (folder / "set" / "more").mkdir(parents=True)
    head = "constitution: top\nextends: [base, ./more/words.yaml]\nrules: []\n"
    (folder / "set" / "top.yaml").write_text(head)
    (folder / "set" / "more" / "words.yaml").write_text(OLD)
    git("add", "set")
    git("commit", "-q", "-m", "set")
    (folder / "set" / "more" / "words.yaml").write_text(NEW)
    found = run("HEAD:set/top.yaml", "set/top.yaml")
    assert "action for the prompt: flag -> block" in found.out
    assert "HEAD:set/more/words.yaml:13:11" in found.out
    assert run("HEAD:set", "set").out == found.out


def test_paths_with_a_dot_count_from_here(run, git, folder, monkeypatch):
    (folder / "sub").mkdir()
    (folder / "sub" / "here.yaml").write_text(OLD)
    git("add", "sub")
    git("commit", "-q", "-m", "sub")
    monkeypatch.chdir(folder / "sub")
    assert run("HEAD:./here.yaml", "here.yaml").out == "nothing changed\n"
    assert run("HEAD:../rules.yaml", "here.yaml").out == "nothing changed\n"
    found = run("HEAD:here.yaml", "here.yaml")
    assert found.code == 2
    assert "did you mean `HEAD:sub/here.yaml`?" in found.err


@pytest.mark.parametrize("old", ["HEAD:policies", "HEAD:policies/rules.yaml", "HEAD:notes", "policies", "notes"])
def test_rules_that_are_new_altogether_are_compared_to_none(run, git, folder, old):
    (folder / "notes").mkdir()
    (folder / "notes" / "why.md").write_text("No rules here.\n")
    git("add", "notes")
    git("commit", "-q", "-m", "notes")
    assert run(old, "new.yaml").code == 2
    found = run(old, "new.yaml", "--new-ok", "--on", "texts.jsonl")
    assert found.code == 0
    head, second = found.out.splitlines()[:2]
    assert (
        head
        == "1 rule added, which can change verdicts; 1 of 4 texts judged otherwise, 25.0% (0.6% to 80.6%): 1 stricter"
    )
    assert second == f"no rules at {old}: all are new"
    assert f"no rules at <code>{old.replace(':', '&#58;')}</code>" in run(
        old, "new.yaml", "--new-ok", "--format", "markdown"
    ).out.replace("There are ", "")
    told = json.loads(run(old, "new.yaml", "--new-ok", "--format", "json").out)
    assert told["first"] is True
    assert [(rule["rule"], rule["kind"]) for rule in told["rules"]] == [("secret-out", "added")]
    assert told["others"] == []


def test_a_revision_that_git_does_not_have_is_an_error_for_new_rules_as_well(run, git):
    found = run("mian:policies", "new.yaml", "--new-ok")
    assert found.code == 2
    assert "no revision `mian` in this repository" in found.err


def test_rules_that_were_there_before_are_compared_whatever_new_ok_says(run, git):
    assert run("HEAD:rules.yaml", "new.yaml", "--new-ok").out == run("HEAD:rules.yaml", "new.yaml").out
    (broken := Path("broken.yaml")).write_text("rules: 3\n")
    assert run(broken, "new.yaml", "--new-ok").code == 2
    assert run("old.yaml", "nowhere", "--new-ok").code == 2


def test_faults_at_a_revision_name_it(run, git, folder):
    (folder / "rules.yaml").write_text(OLD.replace("on: {prompt", "on: {promt"))
    git("commit", "-q", "-am", "broken")
    found = run("HEAD:rules.yaml", "old.yaml")
    assert found.code == 2
    assert found.err.startswith("error: HEAD:rules.yaml:8:10: ")
    assert "wardlaw-" not in found.err
    found = run("old.yaml", "HEAD:rules.yaml")
    assert found.err.startswith("error: HEAD:rules.yaml:8:10: ")


def test_broken_yaml_on_either_side_is_told_with_its_place(run, git, folder):
    (folder / "bad.yaml").write_text("constitution: x\nrules: [\n")
    git("add", "bad.yaml")
    git("commit", "-q", "-m", "bad")
    for sides in (("old.yaml", "bad.yaml"), ("bad.yaml", "old.yaml")):
        found = run(*sides)
        assert (found.code, found.err.startswith("error: bad.yaml:3:1: not YAML")) == (2, True)
    assert run("HEAD:bad.yaml", "old.yaml").err.startswith("error: HEAD:bad.yaml:3:1: not YAML")


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ("nowhere:rules.yaml", "error: no revision `nowhere` in this repository"),
        ("HEAD~9:rules.yaml", "error: no revision `HEAD~9` in this repository"),
        ("HEAD:gone.yaml", "error: no `gone.yaml` at revision `HEAD`"),
        ("HEAD:../../etc/passwd", "error: `../../etc/passwd` lies outside the repository"),
        ("gone.yaml", "error: no rule file or pack `gone.yaml`"),
    ],
)
def test_what_git_does_not_have_is_said_in_the_users_words(run, git, given, what):
    found = run(given, "old.yaml")
    assert found.code == 2
    assert found.err.startswith(what)
    assert "\n  hint: " in found.err


def test_a_revision_that_looks_like_an_option_is_none(git):
    from server.cli.rules._revisions import RevisionError, checked_out

    with pytest.raises(RevisionError, match="no revision"), checked_out(Revision("--all", "rules.yaml")):
        pass


def test_outside_a_repository_it_says_so(run, folder, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(folder.parent))
    found = run("HEAD:old.yaml", "new.yaml")
    assert found.code == 2
    assert "is in no git repository" in found.err
    assert "hint: run this in the repository" in found.err


def test_without_git_it_says_so(run, folder, monkeypatch):
    monkeypatch.setenv("PATH", str(folder))
    assert "there is no `git` here" in run("HEAD:old.yaml", "new.yaml").err


def test_a_file_with_a_colon_in_its_name_is_a_file(folder):
    (folder / "a:b.yaml").write_text(OLD)
    assert Revision.read("a:b.yaml") is None
    assert Revision.read("c:b.yaml") == Revision("c", "b.yaml")
    assert Revision.read("base") is None


def test_a_link_in_a_revision_cannot_lead_out_of_it(run, git, folder):
    outside = folder.parent / "outside.yaml"
    outside.write_text(OLD)
    (folder / "set").mkdir()
    (folder / "set" / "away.yaml").symlink_to("../../outside.yaml")
    (folder / "set" / "whole.yaml").symlink_to(outside)
    (folder / "set" / "near.yaml").symlink_to("real.yaml")
    (folder / "set" / "real.yaml").write_text(OLD)
    git("add", "set")
    git("commit", "-q", "-m", "links")
    assert run("HEAD:set/near.yaml", "old.yaml").out == "nothing changed\n"
    for name in ("away", "whole"):
        found = run(f"HEAD:set/{name}.yaml", "old.yaml")
        assert found.code == 2
        assert f"HEAD:set/{name}.yaml" in found.err


# -- files of texts


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


# -- the worst


def flip(name: str, old: Outcome, new: Outcome) -> Flip:
    return Flip(name, "prompt", "text", old, new)


def test_the_gravest_flips_are_kept_whatever_their_order():
    allow, flag, block = Outcome(Action.ALLOW), Outcome(Action.FLAG, {"a": 0.6}), Outcome(Action.BLOCK, {"a": 0.9})
    given = [
        flip("small", allow, flag),
        flip("milder", block, allow),
        flip("stricter", allow, block),
        flip("surer", allow, Outcome(Action.BLOCK, {"a": 1.0})),
    ]
    for order in (given, given[::-1]):
        worst = Worst(3)
        for each in order:
            worst.add(each)
        assert [each.id for each in worst.ranked()] == ["milder", "surer", "stricter"]


@pytest.mark.parametrize(
    ("count", "of", "said"),
    [
        (3, 200, "1.5% (0.3% to 4.3%)"),
        (10, 150_000, "0.0067% (0.0032% to 0.012%)"),
        (0, 150_000, "0.0% (0.0% to 0.0025%)"),
        (150_000, 150_000, "100.0% (99.9975% to 100.0%)"),
    ],
)
def test_a_few_of_very_many_are_not_told_as_none(count, of, said):
    assert percent(share(count, of)) == said


def test_no_share_is_told_as_none_or_all_but_those_that_are():
    told = [percent_of(10**-power) for power in range(10)] + [percent_of(1 - 10**-power) for power in range(10)]
    assert [text for text in told if float(text[:-1]) in (0.0, 100.0)] == ["100.0%", "0.0%"]
