"""The sample workflow: it loads, it says what it means, and its commands are commands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from server.cli.main import cli

WORKFLOW = Path(__file__).parents[1] / "examples" / "github" / "rules.yml"


@pytest.fixture(scope="module")
def workflow() -> dict[Any, Any]:
    return dict(yaml.safe_load(WORKFLOW.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def steps(workflow: dict[Any, Any]) -> list[dict[str, Any]]:
    return list(workflow["jobs"]["rules"]["steps"])


def commands(steps: list[dict[str, Any]], environment: dict[str, str]) -> list[list[str]]:
    """Every call of `wardlaw` in the workflow, its variables filled in."""
    found = []
    for step in steps:
        for line in step.get("run", "").splitlines():
            if line.startswith("wardlaw "):
                known = {**environment, **step.get("env", {})}
                said = re.sub(r"\$(\w+)", lambda name, known=known: known.get(name[1], name[0]), line)
                found.append(shlex.split(said.partition(" > ")[0])[1:])
    return found


def test_each_command_of_the_workflow_parses(workflow, steps, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = commands(steps, workflow["env"])
    assert [arguments[:2] for arguments in found] == [["rules", "check"], ["rules", "test"], ["rules", "diff"]]
    for arguments in found:
        context, command = click.Context(cli, info_name="wardlaw"), cli
        while isinstance(command, click.Group):
            context = command.make_context(context.info_name, arguments, parent=context, resilient_parsing=False)
            _, command, arguments = command.resolve_command(context, [*context._protected_args, *context.args])
        assert command is not None
        command.make_context(command.name, arguments, parent=context)  # raises a UsageError on anything unknown


def test_the_comparison_is_posted_and_can_read_the_whole_history(workflow, steps):
    checkout = next(step for step in steps if step.get("uses", "").startswith("actions/checkout"))
    assert checkout["with"]["fetch-depth"] == 0
    assert workflow["permissions"] == {"contents": "read", "pull-requests": "write"}
    posting = next(step for step in steps if "gh pr comment" in step.get("run", ""))
    comparing = next(step for step in steps if "rules diff" in step.get("run", ""))
    assert "--body-file rules-diff.md" in posting["run"]
    assert "> rules-diff.md" in comparing["run"]
    assert "--format markdown" in comparing["run"]
    assert "--new-ok" in comparing["run"]  # a pull request that brings the first rules
    assert comparing["id"] == "diff"
    assert "steps.diff.outcome == 'success'" in posting["if"]


def test_nothing_of_a_pull_request_is_pasted_into_a_script(steps):
    assert all("${{" not in step.get("run", "") for step in steps)


def test_the_workflow_runs_on_pull_requests_alone(workflow):
    assert set(workflow[True]) == {"pull_request"}  # YAML 1.1 reads `on` as true
