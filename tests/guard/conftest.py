"""Small real things for the tests of the guard: rules built here, real RE2, the real MiniLM encoder."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from guard.detectors.base import Cover, Scan
from guard.exchange import Exchange
from rules.schema import Constitution, Part, Rule

MakeRule = Callable[..., Rule]
MakeConstitution = Callable[..., Constitution]


@pytest.fixture
def make_rule() -> MakeRule:
    """A rule with an id and any other field."""

    def make(rule_id: str = "weapon-help", **fields: Any) -> Rule:
        return Rule.model_validate(
            {
                "id": rule_id,
                "title": rule_id,
                "rule": "Do not give instructions that make it easier to build a weapon.",
                "why": "A working recipe reaches everyone who asks.",
                **fields,
            }
        )

    return make


@pytest.fixture
def constitute() -> MakeConstitution:
    """A constitution of rules."""

    def make(*rules: Rule) -> Constitution:
        return Constitution.model_validate({"name": "small", "title": "Small", "rules": rules})

    return make


@pytest.fixture(scope="session")
def encoder() -> Any:
    """The real default encoder, loaded once."""
    from guard.encoders.torch import SentenceEncoder

    with warnings.catch_warnings():
        # torch's own C extensions announce themselves with types that lack `__module__`.
        warnings.filterwarnings("ignore", message="builtin type .* has no __module__ attribute")
        return SentenceEncoder()


class Raises:
    """A detector that covers every rule and always fails, in the worker thread as a model would."""

    name = "meaning"
    identity = "raises"
    instant = False
    skips_clear = True

    def __init__(self, error: Exception) -> None:
        self._error = error

    def covers(self, rule: Rule, part: Part) -> Cover:
        return Cover(by=self.name)

    def scan(self, exchanges: Sequence[Exchange]) -> list[Scan]:
        raise self._error

    def close(self) -> None:
        """Nothing to let go of."""


@pytest.fixture
def raises() -> type[Raises]:
    """Makes a detector that fails with the error it is given."""
    return Raises
