"""Lints of a rule's contract."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rules.examples import EXAMPLE_PARTS
from rules.lints import Found, lint
from rules.lints._texts import everything
from rules.schema import Rule

if TYPE_CHECKING:
    from rules.check import Company


@lint("error")
def contract_count(rule: Rule, _: Company) -> Iterator[Found]:
    """A rule has fewer texts than its contract asks for; the rest of a contract is measured by `wardlaw rules test`."""
    for side, asked in (("breaks", rule.contract.breaks), ("keeps", rule.contract.keeps)) if rule.contract else ():
        there = sum(path[1] == side for path, _ in everything(rule))
        if there < asked:
            what = f"has {there} under `{side}` (examples and tests), and its contract asks for {asked}"
            shown = {example.part for path, example in everything(rule) if path[1] == side}
            unseen = [part for part in rule.watches if part in EXAMPLE_PARTS and part not in shown]
            none = f"; none of them is a {' or a '.join(unseen)} yet, which the rule watches" if unseen else ""
            yield ("contract", side), what, f"write {asked - there} more under `{side}`{none}"


@lint("error")
def contract_unmeasured(rule: Rule, _: Company) -> Iterator[Found]:
    """A contract asks for a recall, and the gate does not look for the rule at all."""
    if rule.contract and rule.contract.recall > 0 and rule.detect is None:
        what = "has a contract that asks for a recall, and no `detect`: the gate finds none of it"
        hint = "write `contract: {recall: 0}`, or say how it is found under `detect`"
        yield ("contract", "recall"), what, hint
