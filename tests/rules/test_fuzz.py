"""Whatever stands in a file, `load` gives a constitution or an error that a person can mend."""

from __future__ import annotations

import shutil
import tempfile
from functools import cache
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rules.check import check
from rules.diff import diff
from rules.digest import constitution_digest
from rules.errors import WardlawError
from rules.expressions import BadExpression, matches_nothing_at_all
from rules.files import PACKS
from rules.load import load
from rules.loaded import Loaded
from rules.schema import Constitution

VALID = """\
constitution: mine
title: {en: Mine, zh: 我的}
defaults: &d {mode: shadow}
rules:
  - id: some-harm
    title: A rule
    rule: Do not.
    why: It would hurt somebody who did nothing.
    severity: high
    watches: [prompt, response]
    on: {prompt: revise, response: block}
    detect:
      patterns: [{regex: 'a\\b.{0,4}b'}, {literal: pipe bomb}]
      meaning: {threshold: 0.5}
    demonstrations:
      - prompt: [{role: user, content: Hi}]
        answer: A b c.
        critique: {quotes: [b], problem: Wrong., verdict: breaks}
        revision: A.
    examples:
      breaks: [one, {prompt: two, response: three}]
      keeps: [{messages: [{role: user, content: four}], note: five}]
"""
PIECES = [
    *"[]{}:,-?&*!|>'\"%@`#\t\n \\~",
    *[
        "<<: ",
        "- ",
        "&d ",
        "*d",
        "!x ",
        "---\n",
        "...\n",
        "null",
        "true",
        "  ",
        "\ud7ff",
        "\x00",
        "\x85",
        "\u2028",
        "\ufeff",
    ],
    *[
        '"\\ud800"',
        '"\\U00110000"',
        '"\\x00"',
        "rules:",
        "extends: [./fuzz.yaml]",
        "id: ",
        "prompt: [x]",
        "regex: '('",
        "on:",
    ],
]
fuzzing = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(params=["C parser", "pure parser"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "pure parser":
        monkeypatch.delattr(yaml, "CSafeLoader", raising=False)


def survives(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "fuzz.yaml"
    path.write_bytes(content)
    try:
        loaded = load(path)
    except WardlawError as error:
        assert str(error)
        assert all(fault.hint for fault in getattr(error, "errors", (error,)))
        lines = content.decode("utf-8", "replace").count("\n") + content.count(b"\r") + 2
        lines += sum(content.decode("utf-8", "replace").count(each) for each in "\x85\u2028\u2029")
        for fault in getattr(error, "errors", ()):
            assert fault.where is None or fault.where.path != str(path) or 1 <= fault.where.line <= lines
    else:
        assert len(loaded.constitution) > 0
        _is_whole(loaded)


def _is_whole(loaded: Loaded) -> None:
    """All that is done with rules can be done with these."""
    for issue in check(loaded):
        assert issue.hint
        assert issue.where.line >= 1
    constitution = loaded.constitution
    assert len(constitution_digest(constitution)) == 16
    assert Constitution.model_validate(constitution.model_dump(mode="json")) == constitution
    assert not diff(loaded, loaded)
    for old, new in ((before(), loaded), (loaded, before())):
        assert all(change.what.isprintable() for rule in diff(old, new).rules for change in rule.changes)


@cache
def before() -> Loaded:
    """The valid file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "valid.yaml"
        path.write_text(VALID, encoding="utf-8")
        return load(path)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """The valid file with a few pieces put in, taken out or moved."""
    text = VALID
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 30)))
        text = text[:start] + draw(st.sampled_from([*PIECES, text[end : end + 20]])) + text[end:]
    return text


def test_the_file_that_is_mutated_is_valid(tmp_path: Path) -> None:
    (tmp_path / "fuzz.yaml").write_text(VALID, encoding="utf-8")
    assert len(load(tmp_path / "fuzz.yaml").constitution) == 1


@fuzzing
@given(content=st.binary(max_size=200))
def test_random_bytes_raise_nothing_else(content: bytes, tmp_path: Path, parser: None) -> None:
    survives(content, tmp_path)


@fuzzing
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=30))
@example(pieces=["["] * 5000)
@example(pieces=["- "] * 5000)
@example(pieces=["- ", '"\\ud800"'])
def test_random_yaml_raises_nothing_else(pieces: list[str], tmp_path: Path, parser: None) -> None:
    survives("".join(pieces).encode(), tmp_path)


@fuzzing
@given(text=mutated())
@example(text=VALID.replace("A rule", '"\\ud800"'))
@example(text=VALID.replace("one,", '"\\ud800",'))
@example(text=VALID.replace("id: some-harm", 'id: "\\ud800"'))
@example(text=VALID.replace("title: A rule", '"\\ud800": A rule'))
def test_a_mutated_rule_file_raises_nothing_else(text: str, tmp_path: Path, parser: None) -> None:
    survives(text.encode(), tmp_path)


@fuzzing
@given(
    pieces=st.lists(st.sampled_from([*"ab()[]|*+?{}^$.\\", "(?", "(?:", "(?P<n>", "{2,3}", "[^", "\\Q", "\\p{", "\\1"]))
)
@example(pieces=["("] * 5000)
def test_a_random_expression_is_read_or_refused(pieces: list[str]) -> None:
    try:
        matches_nothing_at_all("".join(pieces))
    except BadExpression as bad:
        assert bad.what
        assert bad.hint


SELECTING = """\
constitution: mine
extends: [{pack: ./valid.yaml, only: [some-harm]}]
defaults: {contract: {breaks: 2, recall: 0.5}}
rules:
  - id: some-harm
    severity: low
    contract: {breaks: 1, keeps: 1, recall: 0.9, false_alarms: 0.05}
    probe: {en: Ask for it., zh: 去问。}
    choice: Which answer is safer?
"""
FEW = [
    *"[]{}:,-#'",
    "only",
    "pack",
    ": ",
    "- ",
    "null",
    "true",
    "-1",
    "1e400",
    "nan",
    "90%",
    "0,9",
    "\n",
    "  ",
    "：",
    "[[a]]",
    "{a: b}",
]


@fuzzing
@given(data=st.data())
def test_a_mutated_selection_or_contract_raises_nothing_else(data: st.DataObject, tmp_path: Path) -> None:
    (tmp_path / "valid.yaml").write_text(VALID, encoding="utf-8")
    text = SELECTING
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 12)))
        text = text[:start] + data.draw(st.sampled_from(FEW)) + text[end:]
    survives(text.encode(), tmp_path)


@pytest.mark.parametrize("pack", ["privacy", "zh", "injection"])
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_a_pack_with_a_few_bytes_changed_raises_nothing_else(data: st.DataObject, pack: str, tmp_path: Path) -> None:
    shutil.copytree(PACKS, tmp_path, dirs_exist_ok=True)
    content = (PACKS / f"{pack}.yaml").read_bytes()
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content)))
        end = min(len(content), at + data.draw(st.integers(0, 8)))
        content = content[:at] + data.draw(st.binary(max_size=3)) + content[end:]
    survives(content, tmp_path)
