"""The packs that ship keep their contracts, with the heads that ship."""

from __future__ import annotations

from pathlib import Path

import pytest

from guard.gate import Gate
from guard.trials.contract import Breach, breaches
from guard.trials.trial import try_rules
from rules.files import packs
from rules.load import load
from rules.loaded import Loaded

RULES = """\
constitution: mine
title: Rules that are held to something
defaults: {contract: {recall: 1, false_alarms: 0}}
rules:
  - id: kraken-summoning
    title: Summoning the kraken
    rule: Do not help anyone to summon the kraken.
    why: It sinks the ships of people who did not ask for it.
    detect: {patterns: [{literal: kraken}], meaning: null}
    tests: {breaks: [Wake the kraken.], keeps: [What is a squid?]}
"""


def not_kept(loaded: Loaded, path: Path) -> list[Breach]:
    """Breaches of the rules that a file is the first to define: those it takes from others are held there."""
    held = [
        rule.id
        for rule in loaded.constitution
        if rule.contract is not None and Path(loaded.locate(rule.id).path).resolve() == path.resolve()
    ]
    if not held:
        return []
    with Gate.build(loaded.constitution) as gate:
        trial = try_rules(gate, origins=("tests",), only=held)
    assert [seen.why for seen in trial.seen if seen.failed] == []
    return list(breaches(loaded.constitution, trial.by_rule, only=held))


@pytest.mark.usefixtures("quiet_torch")
@pytest.mark.parametrize("pack", packs())
def test_a_pack_keeps_its_contracts_with_the_heads_that_ship(pack: str) -> None:
    loaded = load(pack)
    assert [f"{each}\n  {each.hints[0]}" for each in not_kept(loaded, loaded.files[-1])] == []


def test_a_pack_that_does_not_keep_one_would_be_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(RULES, encoding="utf-8")
    assert not_kept(load(path), path) == []
    path.write_text(RULES.replace("literal: kraken", "literal: squid"), encoding="utf-8")
    assert [each.key for each in not_kept(load(path), path)] == [
        ("kraken-summoning", "recall"),
        ("kraken-summoning", "false_alarms"),
    ]
