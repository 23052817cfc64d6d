"""New rules beside those in force: what fails now and did not before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from guard.gate import Gate
from guard.trials.change import Change, compare

MakeGate = Callable[..., Gate]


def rule(literal: str = "kraken", breaks: tuple[str, ...] = ("a kraken",), **fields: Any) -> dict[str, Any]:
    detect = {"patterns": [{"literal": literal}], "meaning": None}
    return {"id": "sea-beasts", "detect": detect, "tests": {"breaks": breaks, "keeps": ("a squid",)}, **fields}


def test_without_rules_in_force_every_breach_is_new_and_nothing_is_worse(make_gate: MakeGate) -> None:
    change = compare(make_gate(rule("beast", contract={"recall": 1})))
    assert [seen.case.text for seen in change.failing] == ["a kraken"]
    assert (change.worse, change.fresh) == ((), ())
    assert change.breaches == change.new_breaches != ()


def test_a_test_that_moved_in_its_list_is_the_same_test(make_gate: MakeGate) -> None:
    now = make_gate(rule(breaks=("a kraken", "the beast")))
    change = compare(make_gate(rule("squid", breaks=("a fish", "the beast", "a kraken"))), now)
    assert [seen.case.text for seen in change.worse] == ["a kraken", "a squid"]
    assert [seen.case.text for seen in change.fresh] == ["a fish"]
    assert change.told() == (
        "rule `sea-beasts` no longer finds its test `a kraken`; "
        "rule `sea-beasts` no longer lets pass its test `a squid`"
    )
    assert change.counted() == "4 of 4 tests fail, 3 of them not before: `sea-beasts`"


def test_examples_are_not_run(make_gate: MakeGate) -> None:
    change = compare(make_gate(rule(examples={"breaks": ["nothing that is found"], "keeps": []})))
    assert (change.run, change.failing) == (2, ())
    assert change.counted() == "all 2 tests pass"
    assert Change().counted() == "no tests were run"


def test_a_breach_is_new_where_the_rules_in_force_keep_that_clause(make_gate: MakeGate) -> None:
    strict = {"contract": {"recall": 1, "false_alarms": 0}}
    now = make_gate(rule("beast", **strict))
    change = compare(make_gate(rule("squid", **strict)), now)
    assert [breach.clause for breach in change.breaches] == ["recall", "false_alarms"]
    assert [breach.clause for breach in change.new_breaches] == ["false_alarms"]
    assert change.breaches_told(new=True) == (
        "rule `sea-beasts` finds 1 of 1 of its near-miss tests (100%), its contract allows 0%"
    )
    assert "2 clauses of contracts not kept: `sea-beasts`" in change.counted()
    same = compare(now, now)
    assert (len(same.breaches), same.new_breaches) == (1, ())
    assert "1 clause of contracts not kept, as before" in same.counted()
