"""Versions of rules that git keeps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from server.cli.rules._revisions import Revision
from tests.server.cli.rules.diff.sample import NEW, OLD


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
