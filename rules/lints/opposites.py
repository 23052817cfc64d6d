"""Lints of texts that are said both to break and to be fine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rules.lints import Found, lint
from rules.lints._texts import everything, said
from rules.schema import Rule
from rules.words import quoted

if TYPE_CHECKING:
    from rules.check import Company


@lint("error")
def contradiction(rule: Rule, _: Company) -> Iterator[Found]:
    """One text stands both among those that break the rule and among those that keep it."""
    breaking = {said(example): path for path, example in everything(rule) if path[1] == "breaks"}
    for path, example in everything(rule):
        if path[1] == "keeps" and said(example) in breaking:
            other = ": ".join(str(key) for key in breaking[said(example)][:2])
            what = f"is said to be kept by {quoted(example.text)}, which stands under `{other}` too"
            yield path, what, "delete it on one side"


@lint("error")
def conflict(rule: Rule, company: Company) -> Iterator[Found]:
    """A text that the rule calls fine, a near miss or a revision, breaks another rule by that rule's own examples."""
    for each in company.conflicts.get(rule.id, ()):
        what = f"calls {quoted(each.text)} fine, and rule `{each.other}` ({each.where}) is broken by it"
        yield each.path, what, "let one of the two go: what breaks a rule in force is nobody's near miss"
