"""What a rule's contract asks, what was measured, and which example to add where it is not kept."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from guard.trials.advice import Resemble, missing_languages, missing_parts, unlike_neighbours
from guard.trials.cases import Kind
from guard.trials.trial import Tally
from rules.schema import Constitution, Rule
from rules.words import listed, quoted

Clause: TypeAlias = Literal["breaks", "keeps", "recall", "false_alarms"]
_SHOWN = 3
_EXACT = 1e-9
"""Shares are no exact numbers: 11 of 20 keep a recall of 0.55."""
_WRITE_TESTS = "write three or more under `tests: {}` that no example resembles"
_TEACH = "add {} that say in other words what these tests say: {}"


@dataclass(frozen=True, slots=True)
class Breach:
    """One clause of one rule's contract that is not kept."""

    rule: str
    clause: Clause
    asked: float
    measured: float | None
    """None where there is nothing to measure on."""
    what: str
    """Both in words, as `finds 3 of 5 tests (60%), and its contract asks for 90%`."""
    hints: tuple[str, ...] = field(default=(), compare=False)
    """Which examples to add, the most useful first."""

    @property
    def key(self) -> tuple[str, str]:
        """What makes it the same breach under other rules."""
        return self.rule, self.clause

    def __str__(self) -> str:
        return f"rule `{self.rule}` {self.what}"


def breaches(
    constitution: Constitution,
    by_rule: Mapping[str, Tally],
    *,
    only: Collection[str] | None = None,
    resemble: Resemble | None = None,
) -> tuple[Breach, ...]:
    """Every clause that is not kept, in the order of the rules.

    Args:
        constitution: the rules that were tried.
        by_rule: what was seen of each rule's texts; at least of its tests.
        only: ids of the rules; all where it is None.
        resemble: tells which neighbours the near misses show; by their words where it is left out.
    """
    return tuple(
        breach
        for rule in constitution
        if rule.contract is not None and (only is None or rule.id in only)
        for breach in _of_rule(rule, by_rule.get(rule.id, Tally()), resemble)
    )


def _of_rule(rule: Rule, tally: Tally, resemble: Resemble | None) -> Iterator[Breach]:
    contract = rule.contract
    if contract is None:
        return
    sides: tuple[tuple[Kind, int], ...] = (("breaks", contract.breaks), ("keeps", contract.keeps))
    for kind, asked in sides:
        there = len(getattr(rule.examples, kind)) + len(getattr(rule.tests, kind))
        if there < asked:
            what = f"has {there} under `{kind}` (examples and tests), and its contract asks for {asked}"
            hints = (f"write {asked - there} more under `{kind}`", *_wanted(rule, kind, resemble))
            yield Breach(rule.id, kind, asked, there, what, hints)
    if contract.recall > 0:
        yield from _recall(rule, tally, contract.recall, resemble)
    if contract.false_alarms < 1:
        yield from _false_alarms(rule, tally, contract.false_alarms, resemble)


def _recall(rule: Rule, tally: Tally, asked: float, resemble: Resemble | None) -> Iterator[Breach]:
    if rule.detect is None:
        what = f"has `detect: null`, so the gate never looks for it, and its contract asks for {_percent(asked)}"
        hint = "write `contract: {recall: 0}`, or say how it is found under `detect`"
        yield Breach(rule.id, "recall", asked, None, what, (hint,))
        return
    if not rule.tests.breaks:
        what = f"has no tests under `tests: breaks`, and its contract asks for a recall of {_percent(asked)} on them"
        write = (_WRITE_TESTS.format("breaks"), *_wanted(rule, "breaks", resemble))
        yield Breach(rule.id, "recall", asked, None, what, write)
        return
    found, of = tally.count("breaks", "tests")
    if of and found / of < asked - _EXACT:
        missed = [each for each in tally.of("breaks", "tests") if not each.found]
        told = [f"{quoted(each.case.text)} ({each.why})" if each.why else quoted(each.case.text) for each in missed]
        hints = (_TEACH.format("examples to `examples: breaks`", _some(told)), *_wanted(rule, "breaks", resemble))
        what = (
            f"finds {found} of {of} of its breaking tests ({found / of:.0%}), its contract asks for {_percent(asked)}"
        )
        yield Breach(rule.id, "recall", asked, found / of, what, hints)


def _false_alarms(rule: Rule, tally: Tally, asked: float, resemble: Resemble | None) -> Iterator[Breach]:
    if rule.detect is None:
        return  # what is not looked for raises no alarm
    if not rule.tests.keeps:
        what = f"has no tests under `tests: keeps`, and its contract allows {_percent(asked)} of them to be found"
        hints = (_WRITE_TESTS.format("keeps"), *_wanted(rule, "keeps", resemble))
        yield Breach(rule.id, "false_alarms", asked, None, what, hints)
        return
    found, of = tally.count("keeps", "tests")
    if of and found / of > asked + _EXACT:
        flagged = [each for each in tally.of("keeps", "tests") if each.found]
        told = [f"{quoted(each.case.text)} (by {each.stage})" for each in flagged]
        hints = (_TEACH.format("near misses to `examples: keeps`", _some(told)), *_wanted(rule, "keeps", resemble))
        what = f"finds {found} of {of} of its near-miss tests ({found / of:.0%}), its contract allows {_percent(asked)}"
        yield Breach(rule.id, "false_alarms", asked, found / of, what, hints)


def _wanted(rule: Rule, kind: Kind, resemble: Resemble | None) -> Iterator[str]:
    """What no example of a side shows yet."""
    parts = missing_parts(rule, kind)
    if parts:
        yield f"none of its examples under `{kind}` is a {' or a '.join(parts)}, which it watches: write one of each"
    languages = missing_languages(rule, kind)
    if languages:
        yield f"none of its examples under `{kind}` is in {listed(languages)}, which the rule speaks: write one of each"
    if kind == "keeps":
        neighbours = unlike_neighbours(rule, resemble)
        for neighbour in neighbours[:_SHOWN]:
            yield f"no near miss resembles what it allows, {quoted(neighbour, 100)}: write one"


def _some(told: Sequence[str]) -> str:
    more = f" and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
    return ", ".join(told[:_SHOWN]) + more


def _percent(share: float) -> str:
    return f"{100 * share:g}%"
