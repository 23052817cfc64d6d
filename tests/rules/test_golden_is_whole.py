"""The golden file of messages holds all that the loader and the lints can say."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from rules import errors

GOLDEN = Path(__file__).parent / "golden" / "faults.txt"
ROOM = Path(errors.__file__).parent
SPEAKERS = (
    *("actions", "base", "check", "conflicts", "contract", "detect", "examples", "expressions", "faults", "files"),
    *("draft", "hints", "load", "loaded", "misplaced", "places", "rule_file", "schema", "slips", "syntax", "text"),
    "values",
    *(f"lints/{path.stem}" for path in sorted((ROOM / "lints").glob("*.py")) if path.stem != "__init__"),
)
"""Modules that tell what is wrong with a rule file."""

UNSAID = {
    "not YAML: an escape that stands for no character": "the parser in Python alone: see test_fuzz.py",
    "not YAML: an escape for half a character": "the parser in Python alone: see test_fuzz.py",
    "write the character itself": "the parser in Python alone: see test_fuzz.py",
    "see that quotes and brackets are closed and lines are in step": "for what no parser of today says",
    "text cannot begin with this character": "the character is named, if there is one",
    "see docs/rule-format.md": "for what pydantic may say one day",
    "`\0` cannot be \0: \0": "for what pydantic may say one day",
    "write it as `key: value`": "for a map that gets no hint of its own one day",
    "Lower case words joined by hyphens. Names the bad thing; stable for ever.": "said by the JSON Schema",
}
"""Sentences without a case, and why they have none."""

PARSERS_OWN = (
    *("expected", "mapping values", "sequence entries", "could not find", "unexpected end", "alphabetic", "tab "),
    *("node content", "cannot start", "'-' indicator", "<document start>"),
)
"""How the words of the YAML parser begin that are looked up, and never shown."""


def sentences(module: str) -> Iterator[str]:
    """The texts of a module that a person may read: `\\0` stands for what is filled in."""
    tree = ast.parse((ROOM / f"{module}.py").read_text(encoding="utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    inside = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in ast.walk(node)
        if part is not node and isinstance(part, ast.Constant)
    }
    expressions = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _is_re(node.func)
        for argument in node.args
        for part in ast.walk(argument)
    }
    for node in ast.walk(tree):
        if id(node) in docstrings | inside | expressions:
            continue
        text = _template(node)
        words = re.findall(r"[^\W\d_]{2,}", text)
        if " " in text.strip() and len(words) > 1 and not text.startswith(PARSERS_OWN):
            yield text


def _is_re(called: ast.Attribute) -> bool:
    return isinstance(called.value, ast.Name) and called.value.id == "re"


def _template(node: ast.AST) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def is_said(sentence: str, golden: str) -> bool:
    pattern = re.escape(sentence.strip()).replace("\0", ".*")
    return re.search(re.sub(r"\\\{\w+\\\}", ".*", pattern), golden) is not None


@pytest.mark.parametrize("module", SPEAKERS)
def test_whatever_a_module_can_say_stands_in_the_golden_file(module: str) -> None:
    golden = GOLDEN.read_text(encoding="utf-8")
    silent = [said for said in sentences(module) if said not in UNSAID and not is_said(said, golden)]
    assert not silent, "give each a case in fault_cases.py, fault_cases_more.py or lint_cases.py"


def test_a_sentence_without_a_case_would_be_found() -> None:
    assert not is_said("`\0` is a sentence that nobody says", GOLDEN.read_text(encoding="utf-8"))
    assert "a rule is a map of keys" in set(sentences("load"))


def test_every_module_that_makes_errors_of_rule_files_is_looked_at() -> None:
    # These tell no faults of a rule file.
    others = {"errors", "hazards", "insertion", "diff", "comparing", "closed_file", "__init__"}
    for path in ROOM.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        if re.search(r"\b(RuleError|BadExpression|refusal)\(", text) and path.stem not in others:
            assert path.stem in SPEAKERS


def test_what_has_no_case_is_said_somewhere() -> None:
    said = {sentence for module in SPEAKERS for sentence in sentences(module)}
    assert set(UNSAID) <= said
