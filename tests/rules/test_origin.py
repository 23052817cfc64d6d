"""Where each field of a rule came from, over files that extend and override each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from rules.load import load
from rules.loaded import Loaded

BASE = """\
constitution: mine
defaults: {mode: shadow}
rules:
  - id: kraken-summoning
    title: Summoning the kraken
    rule: Do not help anyone to summon the kraken.
    why: It sinks the ships of people who did not ask for it.
    severity: high
"""
OVER = """\
constitution: ours
extends: ./base.yaml
rules:
  - id: kraken-summoning
    severity: low
    on: {prompt: flag}
"""


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loaded:
    monkeypatch.chdir(tmp_path)
    Path("base.yaml").write_text(BASE, encoding="utf-8")
    Path("over.yaml").write_text(OVER, encoding="utf-8")
    return load("over.yaml")


def told(loaded: Loaded, name: str) -> str:
    return str(loaded.origin("kraken-summoning", name))


def test_a_written_field_has_its_place(loaded: Loaded) -> None:
    assert told(loaded, "title") == "base.yaml:5:12"


def test_a_field_that_was_overridden_names_both_places(loaded: Loaded) -> None:
    assert told(loaded, "severity") == "over.yaml:5:15, in place of base.yaml:8:15"


def test_a_field_taken_from_the_defaults_of_a_file_says_so(loaded: Loaded) -> None:
    assert told(loaded, "mode") == "defaults of base.yaml:2:18"


def test_a_field_that_nobody_wrote_is_a_default(loaded: Loaded) -> None:
    assert told(loaded, "on_error") == "default"
    assert told(loaded, "on") == "over.yaml:6:9"


def test_an_override_of_what_the_defaults_gave_is_written(loaded: Loaded) -> None:
    Path("over.yaml").write_text(OVER + "    mode: enforce\n", encoding="utf-8")
    assert str(load("over.yaml").origin("kraken-summoning", "mode")) == "over.yaml:7:11, in place of base.yaml:2:18"


def test_the_files_that_bring_a_rule_are_known(loaded: Loaded) -> None:
    assert [path.name for path in loaded.brought_by("kraken-summoning")] == ["base.yaml", "over.yaml"]
