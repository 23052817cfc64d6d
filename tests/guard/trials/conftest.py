"""Small rules found by patterns, and gates over them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from guard.gate import Gate
from rules.schema import Constitution, Rule

MakeGate = Callable[..., Gate]


@pytest.fixture
def make_gate() -> MakeGate:
    """A gate of rules, each given by its fields; by patterns alone, and by what else is given as `also`."""

    def make(*rules: dict[str, Any], also: Any = ()) -> Gate:
        made = [
            Rule.model_validate(
                {
                    "title": "A rule",
                    "rule": "Do not help anyone to summon the kraken.",
                    "why": "It sinks the ships of people who did not ask for it.",
                    "detect": {"patterns": [{"literal": "kraken"}], "meaning": None},
                    **rule,
                }
            )
            for rule in rules
        ]
        constitution = Constitution.model_validate({"name": "small", "title": "Small", "rules": made})
        return Gate.build(constitution, encoder=None, also=also)

    return make
