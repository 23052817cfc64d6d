"""What all dialects have in common."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import server.dialects

NAMES = [
    info.name
    for info in pkgutil.iter_modules(server.dialects.__path__)
    if info.name != "base" and not info.name.startswith("_")
]


@pytest.mark.parametrize("name", NAMES)
def test_each_dialect_bears_the_name_of_its_folder(name: str) -> None:
    assert importlib.import_module(f"server.dialects.{name}").DIALECT.name == name
