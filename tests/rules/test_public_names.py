from __future__ import annotations

import subprocess
import sys

import pytest

import rules


@pytest.mark.parametrize("name", rules.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(rules, name) is not None


@pytest.mark.parametrize(
    "before",
    ["", "import rules.load, rules.check", "from rules.load import Loaded", "from rules import Loaded, Issue"],
)
def test_load_is_the_function_whatever_was_imported_before(before: str) -> None:
    code = f"{before}\nfrom rules import check, load\nprint(callable(load), callable(check))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True True\n"


def test_an_unknown_name_is_an_import_error() -> None:
    with pytest.raises(ImportError):
        from rules import nothing  # type: ignore[attr-defined]  # noqa: F401


def test_the_errors_alone_load_no_pydantic() -> None:
    code = "import sys, rules.errors; print('pydantic' in sys.modules, 'yaml' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
