"""Options for the formats, and real chat templates."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import pytest

from constitution.formats import Options
from constitution.templates import Stage, Templates, TemplateSet
from rules.schema import Constitution


@pytest.fixture
def options(sample_constitution: Constitution) -> Options:
    """Options with the rules at hand, and a critic's question of this test's own, so that golden files stand when the
    shipped wording changes."""
    shipped = TemplateSet.read()
    ask = Stage(system="Judge it.", ask="{{ conversation[-1].content }} / {{ answer }} / {{ rule.rule }}")
    plain = {
        tag: Templates.model_validate({**item.model_dump(), "critique": ask.model_dump()})
        for tag, item in shipped.by_language.items()
    }
    return Options(constitutions={"c0ffee": sample_constitution}, templates={"7e5t": TemplateSet(plain)})


@pytest.fixture(scope="session")
def bundled_template() -> Any:
    """Reads a chat template that TRL bundles, by its name."""

    def read(name: str) -> str:
        return (files("trl") / "chat_templates" / f"{name}.jinja").read_text(encoding="utf-8")

    return read
