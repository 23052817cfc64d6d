"""An import goes up the stack rules <- guard <- constitution <- server, never down."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("rules", "guard", "constitution", "server")
FILES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
_MODULE_NAME = re.compile(rf"({'|'.join(ROOMS)})(\.[a-z_][a-z0-9_]*)+")


def rooms_named(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Each room that a file imports, with the line: at its top, inside a function, or by a name given as a string."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name.partition(".")[0], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0], node.lineno
        elif isinstance(node, ast.Call):
            yield from ((name.partition(".")[0], node.lineno) for name in _names_imported(node))


def _names_imported(call: ast.Call) -> Iterator[str]:
    """What `importlib.import_module("...")`, `__import__(...)`, `find_spec(...)` and the like are asked for."""
    function = ast.unparse(call.func).rpartition(".")[2]
    if function in ("import_module", "__import__", "find_spec", "run_module", "resolve_name"):
        for argument in [*call.args, *(keyword.value for keyword in call.keywords)]:
            for part in ast.walk(argument):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield part.value


def upward(source: str, room: str) -> list[str]:
    """What a file of `room` imports from the rooms above it."""
    above = ROOMS[ROOMS.index(room) + 1 :]
    return [f"line {line}: {name}" for name, line in rooms_named(ast.parse(source)) if name in above]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_imports_nothing_from_the_rooms_above(path: Path) -> None:
    assert upward(path.read_text(encoding="utf-8"), path.relative_to(ROOT).parts[0]) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_names_a_module_of_the_rooms_above_in_a_string(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    above = ROOMS[ROOMS.index(room) + 1 :]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _MODULE_NAME.fullmatch(node.value):
            assert node.value.partition(".")[0] not in above, f"line {node.lineno}: {node.value}"


@pytest.mark.parametrize(
    "source",
    [
        "import server.cli",
        "from constitution import row",
        "def late():\n    from constitution.row import Row",
        "import importlib\nimportlib.import_module('server.app')",
        "import importlib\ndef late(name):\n    return importlib.import_module(f'server.{name}')",
        "from importlib import import_module\nimport_module(name='server.app')",
        "__import__('constitution')",
        "import typing\nif typing.TYPE_CHECKING:\n    from server import app",
    ],
)
def test_an_upward_import_is_seen_wherever_it_hides(source: str) -> None:
    assert upward(source, "guard")


def test_a_downward_import_is_fine() -> None:
    assert upward("from rules import load\nimport guard.gate\nimport yaml", "constitution") == []


def test_the_contract_of_import_linter_holds() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 kept, 0 broken" in done.stdout
