"""`wardlaw rules diff` over two small files, and a repository with both."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from server.cli.main import main
from tests.server.cli.rules.diff.sample import NEW, OLD, TEXTS


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
