"""Lints of texts that stand in a rule more than once."""

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
def taught_test(rule: Rule, _: Company) -> Iterator[Found]:
    """A test repeats an example: it shows only that the example was learnt."""
    taught = {said(example) for path, example in everything(rule) if path[0] == "examples"}
    for path, example in everything(rule):
        if path[0] == "tests" and said(example) in taught:
            yield path, f"is tested by one of its own examples, {quoted(example.text)}", "say it in other words"


@lint("warning")
def said_twice(rule: Rule, _: Company) -> Iterator[Found]:
    """One example, test or neighbour stands twice on the same side of a rule."""
    seen: set[object] = set()
    for path, example in everything(rule):
        key = (path[:2], said(example))
        if key in seen:
            yield path, f"says {quoted(example.text)} twice", "delete one, or say it in other words"
        seen.add(key)
    for index, allowed in enumerate(rule.allowed):
        if allowed in rule.allowed[:index]:
            yield ("allowed", index), f"says {quoted(allowed)} twice", "delete one, or say it in other words"


@lint("warning")
def neighbour_as_example(rule: Rule, _: Company) -> Iterator[Found]:
    """An example repeats a text of `allowed`, which describes what is fine and is nothing that somebody says."""
    allowed = {" ".join(text.casefold().split()) for each in rule.allowed for text in each.root.values()}
    for path, example in everything(rule):
        if " ".join(example.text.casefold().split()) in allowed:
            what = f"has {quoted(example.text)} among its `{path[1]}` and under `allowed`"
            hint = "write what somebody would say" if path[1] == "keeps" else "it cannot be both: delete one of the two"
            yield path, what, hint
