from __future__ import annotations

import gc
from collections.abc import Callable

import pytest

from rules.collecting import uncollected
from rules.errors import RuleErrors
from rules.load import load


def test_the_collector_rests_within_and_works_after() -> None:
    with uncollected():
        assert not gc.isenabled()
        with uncollected():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_load_that_fails_leaves_the_collector_working(write: Callable[..., str]) -> None:
    with pytest.raises(RuleErrors):
        load(write("constitution: mine\nrules: [}\n"))
    assert gc.isenabled()


def test_a_collector_that_somebody_else_put_to_rest_stays_so() -> None:
    gc.disable()
    try:
        load("base")
        assert not gc.isenabled()
    finally:
        gc.enable()
