"""Rules in a folder, and the command run in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from server.cli.main import main

RULES = """\
constitution: test
title: Test
rules:
  - id: weapon-help
    title: {en: Helping to build a weapon, zh: 帮助制造武器}
    rule: Do not give instructions that make it easier to build a weapon.
    why: A working recipe reaches everyone who asks.
    hazards: ["llama-guard-3:S9", "sea-1:K1"]
    watches: [prompt, response]
    on: {prompt: block, response: revise}
    detect: {patterns: [{literal: pipe bomb}, {literal: 炸弹}], meaning: null}
  - id: insults
    title: Insults
    rule: Do not insult the user or anybody else.
    why: An insult hurts and helps nobody.
    watches: [response]
    detect: {patterns: [{literal: you fool}], meaning: null}
  - id: kindness
    title: Kindness
    rule: Be kind to the user in all that you say.
    why: A kind word helps and costs nothing at all.
    detect: null
"""


@dataclass
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with rules that need no model."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.yaml").write_text(RULES, encoding="utf-8")
    return tmp_path


@pytest.fixture
def gate(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Runs `wardlaw gate ...` with those rules and no model."""

    def run(*arguments: str) -> Ran:
        capsys.readouterr()
        code = main(["gate", *arguments, "-r", "rules.yaml", "--no-meaning"])
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run


@pytest.fixture
def write(folder: Path) -> Callable[..., str]:
    """Writes a JSONL file of rows, or of lines as they are."""

    def make(name: str, *rows: Any) -> str:
        lines = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
        (folder / name).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        return name

    return make
