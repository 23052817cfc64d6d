"""Ten thousand rules in two hundred files."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from rules.errors import RuleErrors
from rules.load import load

_BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "rules_load.py"


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder of them, and the program that loads one in a process of its own."""
    spec = importlib.util.spec_from_file_location("rules_load", _BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = tmp_path_factory.mktemp("many")
    module.write(folder, 200, 50)
    return folder, module.CHILD


@pytest.mark.slow
def test_ten_thousand_rules_fit_into_a_gibibyte(many: tuple[Path, str]) -> None:
    folder, child = many
    done = subprocess.run([sys.executable, "-c", child, str(folder)], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["rules"] == 10_000
    assert found["peak"] < 1024 * 1024


@pytest.mark.slow
def test_one_slip_among_ten_thousand_rules_is_named_at_its_place(many: tuple[Path, str]) -> None:
    folder, _ = many
    file = folder / "part-137.yaml"
    file.write_text(file.read_text().replace("severity: high", "severty: high", 1))
    with pytest.raises(RuleErrors) as refused:
        load(folder)
    (error,) = refused.value.errors
    assert str(error.where).endswith("part-137.yaml:8:5")
    assert error.hint == "did you mean `severity`?"
