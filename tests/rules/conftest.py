from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import rules.files

RULE = """\
  - id: {id}
    title: A rule
    rule: Do not do this.
    why: It would hurt somebody who did nothing.
"""


def rule_text(rule_id: str = "some-harm", more: str = "") -> str:
    """One whole rule as an item of `rules`; `more` is put under it, four spaces deep."""
    return RULE.format(id=rule_id) + "".join(f"    {line}\n" for line in more.splitlines())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the current one, so that places read `rules.yaml:1:1`."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def write(folder: Path) -> Callable[..., str]:
    """Write a rule file into the folder and return its name."""

    def _write(text: str | bytes, name: str = "rules.yaml") -> str:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return name

    return _write


@pytest.fixture
def packs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packs in place of those that ship."""
    path = folder / "packs"
    path.mkdir()
    monkeypatch.setattr(rules.files, "PACKS", path)
    return path
