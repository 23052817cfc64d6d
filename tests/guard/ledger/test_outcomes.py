"""What a verdict says of a find."""

from __future__ import annotations

import pytest

from guard.ledger.outcomes import change_of, of_verdict
from guard.verdict import Coverage, Finding, Verdict
from rules.schema import Action, Part


def verdict(*rules, degraded=()):
    found = tuple(Finding(rule, Part.PROMPT, (0, 1), "patterns", 1.0, 1.0) for rule in rules)
    return Verdict(Action.BLOCK, found, Coverage(degraded=dict.fromkeys(degraded, "gone")), "0", {})


@pytest.mark.parametrize("kind", ["break", "false-alarm"])
def test_a_detector_that_fails_is_no_fix(made, kind):
    outcome = of_verdict(made(kind=kind), (), verdict(degraded=["meaning"]))
    assert (outcome.state, outcome.why) == ("failed", "meaning: gone")


def test_what_is_found_counts_also_where_a_detector_failed(made):
    assert of_verdict(made(), (), verdict("r-one", degraded=["meaning"])).state == "holds"
    assert of_verdict(made(kind="false-alarm"), (), verdict("r-one", degraded=["meaning"])).state == "breaks"


@pytest.mark.parametrize(("own", "state"), [(False, "holds"), (True, "breaks")])
def test_another_rules_finding_counts_unless_only_its_own_do(made, own, state):
    assert of_verdict(made(), ("secret-out",), verdict("r-one"), own=own).state == state


@pytest.mark.parametrize(
    ("status", "state", "change"),
    [
        ("open", "holds", "fixed"),
        ("open", "breaks", "open"),
        ("fixed", "holds", "held"),
        ("fixed", "breaks", "regressed"),
        ("accepted", "breaks", "accepted"),
        ("accepted", "holds", "held"),
        ("fixed", "failed", "failed"),
        ("open", "unsure", "unsure"),
    ],
)
def test_an_outcome_against_the_ledger(status, state, change):
    assert change_of(status, state) == change
