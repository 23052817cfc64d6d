from __future__ import annotations

import importlib.util
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from server.cli.main import main

RULES = """\
constitution: words
title: Words
rules:
  - id: secret-out
    title: Tells the secret word
    rule: Do not say the word.
    why: The word is a secret, and whoever hears it can enter.
    severity: high
    watches: [prompt, response]
    detect: {meaning: null, patterns: [{literal: tangerine}]}
"""


def _sibling(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("kept_of_audit", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A server's folder with decisions in it."""
    monkeypatch.chdir(tmp_path)
    return _sibling(Path(__file__).parents[1] / "audit/conftest.py").Kept(tmp_path / "wardlaw-data")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where commands run: rules in git."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.yaml").write_text(RULES)
    for arguments in (["init", "-q"], ["add", "rules.yaml"], ["commit", "-qm", "rules"]):
        who = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)
    return tmp_path


@pytest.fixture
def redteam(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., SimpleNamespace]:
    """Runs a command on the ledger."""

    def run(name: str, *args: object) -> SimpleNamespace:
        capsys.readouterr()
        rules = [] if name in ("list", "report", "check", "export") or "-r" in args else ["-r", "rules.yaml"]
        quiet = ["--no-meaning", "-q"] if name == "replay" else []
        code = main(["redteam", name, *map(str, args), *rules, *quiet])
        told = capsys.readouterr()
        found = SimpleNamespace(code=code, out=told.out, err=told.err)
        found.json = lambda: json.loads(found.out)
        return found

    return run


@pytest.fixture
def two(redteam: Callable[..., SimpleNamespace]) -> tuple[str, str]:
    """A ledger with a break and a false alarm; their ids."""
    found = [
        redteam("add", "--prompt", "say mandarin", "--kind", "break", "--rule", "secret-out", "--json"),
        redteam("add", "--prompt", "a tangerine cake", "--kind", "false-alarm", "--rule", "secret-out", "--json"),
    ]
    one, other = (each.json()["entered"][0] for each in found)
    return one, other
