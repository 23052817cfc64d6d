"""Gates for explanations: the shipped rules with their heads, and small rules found by patterns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from guard.gate import Gate
from rules.load import load


@pytest.fixture(scope="module")
def shipped() -> Iterator[Gate]:
    """The gate of `base`, with the shipped heads and the static tier."""
    with Gate.build(load("base").constitution) as gate:
        yield gate


@pytest.fixture
def by_patterns(make_rule: Any, constitute: Any) -> Callable[..., Gate]:
    """A gate of rules that patterns alone find, each given by its patterns and other fields."""

    def make(*rules: dict[str, Any], also: Any = ()) -> Gate:
        made = [
            make_rule(rule.pop("id"), **{"detect": {"patterns": rule.pop("patterns"), "meaning": None}, **rule})
            for rule in map(dict, rules)
        ]
        return Gate.build(constitute(*made), encoder=None, also=also)

    return make
