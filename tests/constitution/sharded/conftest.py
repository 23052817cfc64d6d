"""A plan over a small input, and rows to keep."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from constitution.row import ROLES
from constitution.settings import Settings
from constitution.sharded.plan import Plan
from constitution.templates import TemplateSet
from rules import load


@pytest.fixture
def plan(tmp_path: Path) -> Callable[..., Plan]:
    """Makes a plan whose input is as many prompts as are asked for, and what else the test says."""

    def make(count: int = 10, **more: object) -> Plan:
        path = tmp_path / "prompts.txt"
        path.write_text("".join(f"What is {number} and {number}?\n" for number in range(count)))
        out = tmp_path / "out"
        fields = {"prompts": (str(path),), "out": out, "models": dict.fromkeys(ROLES[:3], "x"), **more}
        out.mkdir(exist_ok=True)
        return Plan(Settings(**fields), load("base").constitution, TemplateSet.read(), out, "0001", 4)

    return make
