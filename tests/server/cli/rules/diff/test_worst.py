"""Which flips are shown, and how shares of very many are told."""

from __future__ import annotations

import pytest

from guard.flips import Flip, Outcome
from guard.training.metrics import share
from rules.schema import Action
from server.cli.rules._figures import percent, percent_of
from server.cli.rules._report import Worst


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
